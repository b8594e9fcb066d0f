"""What a meter says: usage per window, subject and group, each event once, as exact decimals.

Meters that operators define are read from their events. The built-in ones are read as usage is: from the ledger, with what is
not sealed yet beside it; by the minute, which is finer than the ledger, from the raw requests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from metering.clickhouse import client
from metering.clickhouse.queries.meters import MeterScope, MeterSubjects, MeterUsage
from metering.clickhouse.queries.usage import RawUsage, Scope
from metering.contracts import BUCKET_MINUTES, MEASURES, UsageRow
from metering.meters import SUBJECT, MeterInfo
from metering.moments import milliseconds, seconds
from metering.usage import LONGEST, current_usage
from metering.windows import Windows, WindowSize, windows

MAX_ROWS = 100_000
TIMEOUT_S = 30
UTC_ZONE = ZoneInfo("UTC")


class InvalidQuery(ValueError):
    """A question that the meter cannot be asked; `field` names what is wrong with it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.field, self.reason = name, reason


class TooManyRows(ValueError):
    """The answer has more than MAX_ROWS rows."""


@dataclass(frozen=True)
class MeterQuery:
    """One question. `subjects` None: of all. `size` None: one window, all of `[start, end)`.

    `filters`: group -> the values that are let through.
    """

    start: datetime
    end: datetime
    size: WindowSize | None = None
    zone: ZoneInfo = UTC_ZONE
    subjects: tuple[str, ...] | None = None
    by_subject: bool = False
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class MeterRow:
    """The value in `[window_start, window_end)`. `subject` None: not asked for."""

    window_start: datetime
    window_end: datetime
    value: Decimal
    subject: str | None
    groups: dict[str, str]


def query(meter: MeterInfo, ask: MeterQuery) -> list[MeterRow]:
    """Rows by window, subject and groups; windows without events have none.

    Raises InvalidQuery, TooManyRows, and TooManyWindows of metering.windows.
    """
    _check(meter, ask)
    cut = windows(ask.size, ask.zone, ask.start, ask.end)
    rows = _built_in(meter, ask, cut) if meter.measure else _defined(meter, ask, cut)
    if len(rows) > MAX_ROWS:
        raise TooManyRows(f"the answer has more than {MAX_ROWS} rows")
    return rows


def subjects(meter: MeterInfo, start: datetime, end: datetime, subject: str | None) -> list[str]:
    """Who has usage of the meter in that time; with `subject`, at most that one."""
    _check(meter, MeterQuery(start, end))
    if meter.measure:
        return sorted({row.tenant for row in current_usage(start, end, tenant=subject, group_by=(), window="total")})
    scope = _scope(meter, MeterQuery(start, end, subjects=None if subject is None else (subject,)))
    return [row[0] for row in client.run(MeterSubjects(scope), timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows]


_Key = tuple[int, str, tuple[str, ...]]  # a window's start in epoch seconds, the tenant or '', the groups


def _check(meter: MeterInfo, ask: MeterQuery) -> None:
    if ask.start >= ask.end:
        raise InvalidQuery("from", "the time asked for is empty: from must lie before to")
    if ask.end - ask.start > LONGEST:
        raise InvalidQuery("from", "the time asked for is longer than 15 years")
    for name, groups in (("groupBy", ask.group_by), ("filterGroupBy", ask.filters)):
        for group in groups:
            if group not in meter.group_by:
                known = ", ".join((SUBJECT, *meter.group_by) if name == "groupBy" else meter.group_by) or "none"
                raise InvalidQuery(
                    name, f"{group[:80]!r} is not a group of the meter {meter.slug}; its groups: {known}"
                )


def _defined(meter: MeterInfo, ask: MeterQuery, cut: Windows) -> list[MeterRow]:
    paths = meter.group_names
    usage = MeterUsage(
        scope=_scope(meter, ask),
        windows=cut,
        aggregation=meter.aggregation.value,
        value=meter.value_names,
        by_tenant=ask.by_subject,
        groups=tuple(paths[name] for name in ask.group_by),
        filters=tuple((paths[name], texts) for name, texts in ask.filters.items()),
    )
    result = client.run(usage, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS)
    return [_row(ask, cut, (row[0], row[2], row[3:]), Decimal(row[1])) for row in result.rows]


def _scope(meter: MeterInfo, ask: MeterQuery) -> MeterScope:
    return MeterScope(meter.event_type, milliseconds(ask.start), milliseconds(ask.end), ask.subjects)


def _built_in(meter: MeterInfo, ask: MeterQuery, cut: Windows) -> list[MeterRow]:
    """Whole numbers, so that rows of a finer grouping can be added up here."""
    totals: dict[_Key, int] = {}
    for row in _usage(ask, cut):
        if all(getattr(row, name) in texts for name, texts in ask.filters.items()):
            groups = tuple(getattr(row, name) for name in ask.group_by)
            key = (seconds(row.window_start), row.tenant if ask.by_subject else "", groups)
            totals[key] = totals.get(key, 0) + getattr(row, meter.measure)
    return [_row(ask, cut, key, Decimal(value)) for key, value in sorted(totals.items())]


def _usage(ask: MeterQuery, cut: Windows) -> Iterable[UsageRow]:
    needed = tuple(dict.fromkeys((*ask.group_by, *ask.filters)))
    for tenant in (None,) if ask.subjects is None else ask.subjects:
        if cut.fits(BUCKET_MINUTES * 60):
            yield from current_usage(ask.start, ask.end, tenant=tenant, group_by=needed, window=cut)
        else:
            yield from _raw(ask, cut, tenant, needed)


def _raw(ask: MeterQuery, cut: Windows, tenant: str | None, groups: tuple[str, ...]) -> Iterable[UsageRow]:
    scope = Scope(((milliseconds(ask.start), milliseconds(ask.end)),), tenant)
    result = client.run(RawUsage(scope, cut, groups), timeout_s=TIMEOUT_S, max_rows=MAX_ROWS)
    for owner, start, *values in result.rows:
        named = dict(zip((*groups, *MEASURES), values, strict=True))
        yield UsageRow(tenant=owner, window_start=datetime.fromtimestamp(start, UTC), **named)


def _row(ask: MeterQuery, cut: Windows, key: _Key, value: Decimal) -> MeterRow:
    start_s, tenant, groups = key
    whole = ask.size is None  # its ends are those asked for, to the millisecond
    return MeterRow(
        window_start=ask.start if whole else datetime.fromtimestamp(start_s, UTC),
        window_end=ask.end if whole else datetime.fromtimestamp(cut.end(start_s), UTC),
        value=value,
        subject=tenant if ask.by_subject else None,
        groups=dict(zip(ask.group_by, groups, strict=True)),
    )
