"""What the shared filters offer. What is chosen now is always among it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dashboard.operator.filters import SCOPE, Filters
from dashboard.operator.shelf import SHELF
from metering.public import names_seen, tenants_first

CHOICES_FRESH_S = 30.0
TENANTS_OFFERED = 200  # with more of them, a menu is no way to find one: its field suggests what is typed
LOOKED_BACK = timedelta(days=35)
Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Choice:
    """One of the shared filters: its values with what they are called. `typed`: too many for a menu."""

    name: str
    label: str
    every: str
    values: Values
    chosen: str
    typed: bool = False

    @property
    def called(self) -> str:
        return dict(self.values).get(self.chosen, self.chosen)


LABELS = {
    "region": ("Region", "All regions"),
    "cluster": ("Cluster", "All clusters"),
    "model": ("Model", "All models"),
    "tenant": ("Customer", "All customers"),
    "tier": ("Tier", "All tiers"),
}


def offered(filters: Filters, scope: Sequence[str]) -> dict[str, Choice]:
    """By the filter's name; of those outside `scope` what is chosen alone. Raises as a reading does."""
    values = SHELF.kept("choices", CHOICES_FRESH_S, _offered) if scope else {}
    return {name: _choice(name, values.get(name, ()), getattr(filters, name)) for name in SCOPE}


def chosen(filters: Filters) -> dict[str, Choice]:
    """What is chosen and nothing else, for a page that cannot read more."""
    return offered(filters, ())


def _choice(name: str, values: Values, picked: str) -> Choice:
    typed = name == "tenant" and len(values) > TENANTS_OFFERED
    if typed:
        values = ()
    if picked and picked not in dict(values):
        values = ((picked, picked), *values)
    label, every = LABELS[name]
    return Choice(name, label, every, values, picked, typed)


def _offered() -> dict[str, Values]:
    since = datetime.now(UTC) - LOOKED_BACK
    seen = {name: tuple((one, one) for one in names_seen(name, since)) for name in SCOPE if name != "tenant"}
    return seen | {"tenant": tuple((info.key, info.name) for info in tenants_first(TENANTS_OFFERED + 1))}
