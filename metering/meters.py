"""Meters: what operators define to meter usage that is not a request, and those over requests that are always there.

What a meter reads (its event type, aggregation and value path) never changes after it is defined, so that a figure once given
keeps its meaning; another meter takes its place instead. An archived meter takes no further events and can still be read.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.db import IntegrityError, transaction
from django.utils import timezone

from metering import meter_paths
from metering.models import Meter
from metering.moments import EPOCH

REQUEST = "tallywatt.request"  # the CloudEvents types that are requests, as decoders/cloudevents.py has them
LITELLM = "litellm_tokens"
SLUG = re.compile(r"\A[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
GROUP = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
SUBJECT = "subject"  # OpenMeter's word for the customer: always a group of its own
MOST_GROUPS = 16
LONGEST_SLUG = 63
FRESH_S = 1.0  # how old the snapshot may be for a type that it knows
MISS_FRESH_S = (
    0.01  # and for one that it does not: a new meter takes events at once, a flood of unknown types asks no more
)
Aggregation = Meter.Aggregation


class InvalidMeter(ValueError):
    """A definition that cannot be; `field` names what is wrong."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.field, self.reason = name, reason


class MeterExists(ValueError):
    """The slug is taken, by an archived meter perhaps: what was billed under it stays readable."""


@dataclass(frozen=True)
class MeterInfo:
    """One meter. `measure`: the column of usage that a built-in meter reads; '' for those that operators define."""

    id: str
    slug: str
    event_type: str
    aggregation: Aggregation
    value_path: str = ""
    group_by: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    unit: str = ""
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
    archived_at: datetime | None = None
    measure: str = ""

    @cached_property
    def value_names(self) -> tuple[str, ...]:
        return meter_paths.names(self.value_path) if self.value_path else ()

    @cached_property
    def group_names(self) -> dict[str, tuple[str, ...]]:
        return {key: meter_paths.names(path) for key, path in self.group_by.items()}


def _built_in(slug: str, measure: str, unit: str, description: str) -> MeterInfo:
    groups = ("model", "project", "api_key_id", "tier", "operation", "region", "status")
    counts = measure == "requests"
    return MeterInfo(
        id=slug,
        slug=slug,
        event_type=REQUEST,
        aggregation=Aggregation.COUNT if counts else Aggregation.SUM,
        value_path="" if counts else f"$.{measure}",
        group_by={name: f"$.{name}" for name in groups},
        description=description,
        unit=unit,
        measure=measure,
    )


BUILT_IN: dict[str, MeterInfo] = {
    meter.slug: meter
    for meter in (
        _built_in("requests", "requests", "requests", "Requests of any status"),
        _built_in("tokens_input", "input_tokens", "tokens", "Prompt tokens, cached reads and cache writes included"),
        _built_in("tokens_cached_input", "cached_input_tokens", "tokens", "Prompt tokens read from a cache"),
        _built_in("tokens_cache_write", "cache_write_tokens", "tokens", "Prompt tokens written to a cache"),
        _built_in("tokens_output", "output_tokens", "tokens", "Generated tokens, reasoning included"),
        _built_in("tokens_reasoning", "reasoning_tokens", "tokens", "Generated tokens spent on reasoning"),
    )
}


def create(
    slug: str,
    *,
    event_type: str,
    aggregation: str,
    value_path: str = "",
    group_by: Mapping[str, str] | None = None,
    description: str = "",
    unit: str = "",
) -> MeterInfo:
    """Define a meter. Raises InvalidMeter or MeterExists."""
    groups = dict(group_by or {})
    _check_slug(slug)
    _check_source(event_type, aggregation, value_path)
    _check_shown(groups, description, unit)
    row = Meter(
        slug=slug,
        event_type=event_type,
        aggregation=aggregation,
        value_path=value_path,
        group_by=groups,
        description=description,
        unit=unit,
    )
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise MeterExists(f"there is a meter {slug!r} already, perhaps an archived one") from None
    forget()
    return _info(row)


def update(slug: str, *, description: str, unit: str, group_by: Mapping[str, str]) -> MeterInfo | None:
    """Replace what may change of a meter; None if there is none. Raises InvalidMeter."""
    groups = dict(group_by)
    _check_shown(groups, description, unit)
    changed = Meter.objects.filter(slug=slug, archived_at=None).update(
        description=description, unit=unit, group_by=groups, updated_at=timezone.now()
    )
    forget()
    return find(slug) if changed else None


def archive(slug: str) -> bool:
    """Take no further events for this meter. False if there is none, or it was archived before."""
    now = timezone.now()
    changed = Meter.objects.filter(slug=slug, archived_at=None).update(archived_at=now, updated_at=now)
    forget()
    return bool(changed)


def find(slug_or_id: str) -> MeterInfo | None:
    """A meter, archived ones included. A slug begins with a letter, so that it is no id."""
    if slug_or_id in BUILT_IN:
        return BUILT_IN[slug_or_id]
    if slug_or_id.isascii() and slug_or_id.isdigit():
        row = Meter.objects.filter(pk=int(slug_or_id)).first() if len(slug_or_id) < 19 else None
    else:
        row = Meter.objects.filter(slug=slug_or_id).first() if SLUG.match(slug_or_id) else None
    return _info(row) if row else None


def everything(*, archived: bool = False) -> list[MeterInfo]:
    """All meters by slug, the built-in ones first."""
    rows = Meter.objects.all() if archived else Meter.objects.filter(archived_at=None)
    return [*BUILT_IN.values(), *(_info(row) for row in rows)]


ByType = Mapping[str, tuple[MeterInfo, ...]]
_snapshot: tuple[float, ByType] | None = None  # of this process: when it was taken, and what was defined then


def reading(event_type: str) -> tuple[MeterInfo, ...]:
    """The active meters that read events of this type."""
    found = by_event_type().get(event_type)
    return found if found is not None else by_event_type(MISS_FRESH_S).get(event_type, ())


def by_event_type(fresh_s: float = FRESH_S) -> ByType:
    """The active meters by the type of event that they read, as of at most `fresh_s` ago."""
    global _snapshot  # noqa: PLW0603 - one reference, replaced whole: threads see the old one or the new one
    taken = time.monotonic()
    if _snapshot is None or taken - _snapshot[0] > fresh_s:
        found: dict[str, tuple[MeterInfo, ...]] = {}
        for row in Meter.objects.filter(archived_at=None):
            found[row.event_type] = (*found.get(row.event_type, ()), _info(row))
        _snapshot = taken, found
    return _snapshot[1]


def forget() -> None:
    """Let the next question about meters ask PostgreSQL."""
    global _snapshot  # noqa: PLW0603
    _snapshot = None


def _check_slug(slug: str) -> None:
    if len(slug) > LONGEST_SLUG or not SLUG.match(slug):
        raise InvalidMeter(
            "slug", f"{slug[:80]!r} is not a-z, 0-9 and _, beginning with a letter (at most {LONGEST_SLUG})"
        )
    if slug in BUILT_IN:
        raise InvalidMeter("slug", f"{slug!r} is a built-in meter")


def _check_source(event_type: str, aggregation: str, value_path: str) -> None:
    _check_text("event_type", event_type, 128, least=1)
    if event_type in {REQUEST, LITELLM}:
        raise InvalidMeter("event_type", f"{event_type!r} is a request, metered by {', '.join(BUILT_IN)}")
    if aggregation not in Aggregation.values:
        raise InvalidMeter("aggregation", f"{aggregation[:40]!r} is not one of {', '.join(Aggregation.values)}")
    if aggregation == Aggregation.COUNT:
        if value_path:
            raise InvalidMeter("value_path", "COUNT counts events and reads no value")
        return
    if not value_path:
        raise InvalidMeter("value_path", f"required for {aggregation}")
    _check_path("value_path", value_path)


def _check_shown(group_by: Mapping[str, str], description: str, unit: str) -> None:
    _check_text("description", description, 1000)
    _check_text("unit", unit, 64)
    if len(group_by) > MOST_GROUPS:
        raise InvalidMeter("group_by", f"has {len(group_by)} keys, at most {MOST_GROUPS} are taken")
    for key, path in group_by.items():
        if not GROUP.match(key) or key == SUBJECT:
            raise InvalidMeter("group_by", f"{key[:80]!r} is not a name of letters, digits and _ other than subject")
        _check_path("group_by", path)


def _check_path(name: str, path: str) -> None:
    try:
        meter_paths.names(path)
    except ValueError as error:
        raise InvalidMeter(name, str(error)) from None


def _check_text(name: str, text: str, longest: int, least: int = 0) -> None:
    if not least <= len(text) <= longest:
        raise InvalidMeter(name, f"has {len(text)} characters, {least} to {longest} are taken")
    if "\x00" in text:
        raise InvalidMeter(name, "holds a NUL character")


def _info(row: Meter) -> MeterInfo:
    return MeterInfo(
        id=str(row.pk),
        slug=row.slug,
        event_type=row.event_type,
        aggregation=Aggregation(row.aggregation),
        value_path=row.value_path,
        group_by=row.group_by,
        description=row.description,
        unit=row.unit,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )
