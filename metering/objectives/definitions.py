"""The objectives as they are defined: written by operators, from the command line or the back office."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from metering.live import LiveScope
from metering.models import Objective

MOST = 100  # all are counted in one statement
SELECTOR = ("region", "cluster", "model", "tenant", "tier")
MEASURES: dict[str, str] = {value: str(label) for value, label in Objective.Measure.choices}
# What the counts are of: where one of these changes, counting begins anew.
DEFINING = (*SELECTOR, "measure", "threshold_ms")


class ObjectiveRefused(ValueError):
    """The definition cannot be. `problems`: what is wrong, by field."""

    def __init__(self, problems: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in problems.items()))
        self.problems = problems


@dataclass(frozen=True)
class ObjectiveInfo:
    """An objective as it is defined; see metering.models.Objective. `target` is a share."""

    name: str
    scope: LiveScope
    measure: str
    threshold_ms: Decimal | None
    target: Decimal
    window: timedelta

    @property
    def measure_label(self) -> str:
        return MEASURES[self.measure]


def objectives() -> list[ObjectiveInfo]:
    """In the order of their names."""
    return [info(row) for row in Objective.objects.all()]


def set_objective(name: str, **fields: Any) -> ObjectiveInfo:
    """Make the objective of this name, or change it to this. Fields: `measure`, `target` (a share such as 0.99), `threshold_ms` (of a
    latency), `window_days` (30), and what narrows it: `region`, `cluster`, `model`, `tenant`, `tier`.

    A changed target or window keeps what was counted; anything else is counted anew. Raises ObjectiveRefused.
    """
    if unknown := set(fields) - {*DEFINING, "target", "window_days"}:
        raise TypeError(f"unknown fields: {', '.join(sorted(unknown))}")
    with transaction.atomic():
        row = Objective.objects.select_for_update().filter(name=name).first() or Objective(name=name)
        before = {field: getattr(row, field) for field in DEFINING}
        for field in (*SELECTOR, "measure"):
            setattr(row, field, fields.get(field) or "")
        row.threshold_ms = _decimal("threshold_ms", fields.get("threshold_ms"))
        row.target = _decimal("target", fields.get("target")) or Decimal(0)
        row.window_days = fields.get("window_days") or 30
        _check(row)
        if row.pk and before != {field: getattr(row, field) for field in DEFINING}:
            begin_anew(row)
        row.save()
    return info(row)


def remove_objective(name: str) -> bool:
    """Whether there was one. Its counts expire by themselves, and nobody reads them."""
    return bool(Objective.objects.filter(name=name).delete()[0])


def begin_anew(row: Objective) -> None:
    row.counts = Objective._meta.get_field("counts").get_default()
    row.counted_from = None


def info(row: Objective) -> ObjectiveInfo:
    scope = LiveScope(**{name: getattr(row, name) or None for name in SELECTOR})
    return ObjectiveInfo(row.name, scope, row.measure, row.threshold_ms, row.target, timedelta(days=row.window_days))


def _threshold(measure: str, threshold_ms: Decimal | None) -> dict[str, list[str]]:
    """A latency needs one, and availability has none; of an unknown measure nothing can be said."""
    if measure == "error":
        wrong = ["Availability has no threshold: a request failed or it did not."]
        return {} if threshold_ms is None else {"threshold_ms": wrong}
    known = measure in Objective.Measure.values
    return {"threshold_ms": ["A latency needs a threshold in ms."]} if known and threshold_ms is None else {}


def _check(row: Objective) -> None:
    problems: dict[str, list[str]] = {}
    try:
        row.full_clean(validate_constraints=False)  # what it says of a threshold is said below, at its field
    except ValidationError as error:
        problems = {name: list(texts) for name, texts in error.message_dict.items()}
    problems |= _threshold(row.measure, row.threshold_ms)
    if row._state.adding and Objective.objects.count() >= MOST:
        problems["name"] = [f"There are {MOST} objectives already: remove one first."]
    if any("\x00" in getattr(row, name) for name in SELECTOR):
        problems["objective"] = ["There is no region, cluster, model, customer or tier with such a name."]
    if problems:
        raise ObjectiveRefused(problems)


def _decimal(name: str, value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise ObjectiveRefused({name: [f"{value!r} is not a number."]}) from None
    if not found.is_finite():
        raise ObjectiveRefused({name: [f"{value!r} is not a number."]})
    return found
