"""Days that are over, summed up once: which hours a report has to read one by one, and which it finds added up.

A day's sums count while PostgreSQL names their version. Writing any of its hours takes that back first, so that a report never mixes
sums with newer hours; some time later the day is summed up anew. What a crash leaves behind is a day without sums, or rows of a version
that nothing names.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone

from metering import moments
from metering.advisory import advisory_lock
from metering.clickhouse import client
from metering.clickhouse.queries.energy_days import AT as TABLES
from metering.clickhouse.queries.energy_days import DaysWithEnergy, DropOlder, WriteDay, WriteDayHours, WriteTenantDay
from metering.clickhouse.queries.energy_rows import OF_ENGINES, Sources, Span
from metering.clickhouse.queries.energy_writes import Written
from metering.clickhouse.queries.reconciliation import WriteReconciliationHours
from metering.models import EnergyDay
from metering.telemetry.energy.prices import tariffs
from metering.telemetry.energy.tariffs import Tariffs
from metering.telemetry.settled import energy_settled
from metering.telemetry.spans import Span as Minutes

DAY, DAY_S = timedelta(days=1), 86_400
TIMEOUT_S = 120.0
RESTS = timedelta(minutes=10)  # late events come in a row: a day is summed up once they are through
BUDGET_S = 10.0
LOCK = 0x7A11_0014  # one process at a time over all hosts
FILLED_IN = 1
PLAIN_INSERT = {"async_insert": 0}


def sources(
    start: datetime, end: datetime, groups: Iterable[str], *, window_s: int, book: Tariffs | None, needs_tenant: bool
) -> Sources:
    """`window_s`: what is read has to be told apart by so many seconds; days are for windows of whole days. `book`: and by its prices;
    None: they do not matter."""
    from_s, until_s = moments.seconds(start), moments.seconds(end)
    whole = not OF_ENGINES.intersection(groups) and not (needs_tenant and window_s % DAY_S)
    summed = _summed(start, end, book, by_day=needs_tenant) if whole else {}
    spans = _between(from_s, until_s, sorted(summed))
    return Sources(from_s, until_s, spans, tuple(sorted(summed.values())), by_day=needs_tenant)


def taken_back(span: Minutes) -> None:
    """Before hours of these minutes are written: their days are not summed up any more."""
    first, last = span.start.date(), (span.end - timedelta(microseconds=1)).date()
    EnergyDay.objects.filter(day__range=(first, last)).update(version=0, changed_at=timezone.now())


def sum_up(*, budget_s: float = BUDGET_S, now: datetime | None = None) -> int:
    """Sum up days that are over and are not, the latest first; how many it did. Nothing if another process is at it.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    with advisory_lock(LOCK) as alone:
        return _sum_up(time.monotonic() + budget_s, now or timezone.now()) if alone else 0


def _sum_up(deadline: float, now: datetime) -> int:
    done = 0
    bands = tariffs().bands()
    for day in _due(now, bands):
        _write(day, bands)
        done += 1
        if time.monotonic() >= deadline:
            break
    return done


def _due(now: datetime, bands: tuple[int, ...]) -> list[date]:
    closed = energy_settled().closed_until
    if closed is None:
        return []
    until = datetime(closed.year, closed.month, closed.day, tzinfo=UTC)
    found = {datetime.fromtimestamp(row[0], UTC).date() for row in _run(DaysWithEnergy(moments.seconds(until)))}
    known = {row.day: row for row in EnergyDay.objects.filter(day__in=found)}
    return [day for day in sorted(found, reverse=True) if _wants(known.get(day), now, bands)]


def _wants(row: EnergyDay | None, now: datetime, bands: tuple[int, ...]) -> bool:
    if row is None:
        return True
    return row.bands != _text(bands) if row.version else row.changed_at <= now - RESTS


def _write(day: date, bands: tuple[int, ...]) -> None:
    """A day of which hours are written in the meantime keeps no version."""
    began, version = timezone.now(), time.time_ns() // 1000
    row, created = EnergyDay.objects.get_or_create(day=day, defaults={"changed_at": began})
    start_s = moments.seconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    if created:  # the version is older than that of any hour that was written as it is now
        _do(WriteReconciliationHours(Written(start_s, start_s + DAY_S, FILLED_IN)))
    else:
        for table in TABLES:
            _do(DropOlder(table, start_s, row.version or version))
    _do(WriteDay(start_s, bands, version))
    _do(WriteTenantDay(start_s, version))
    _do(WriteDayHours(start_s, version))
    unchanged = EnergyDay.objects.filter(pk=row.pk, version=row.version, changed_at=row.changed_at)
    unchanged.update(version=version, bands=_text(bands), changed_at=began)


def _summed(start: datetime, end: datetime, book: Tariffs | None, *, by_day: bool) -> dict[int, int]:
    """By the day's first second, the version of its sums: of all days that can be read as sums."""
    first = start.astimezone(UTC).date()
    rows = EnergyDay.objects.filter(day__gte=first, day__lte=end.astimezone(UTC).date(), version__gt=0)
    bands, edges = (_text(book.bands()), book.edges_s()) if book else (None, ())
    found = {}
    for day, version, held in rows.values_list("day", "version", "bands"):
        begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
        at_s = moments.seconds(begins)
        whole = start <= begins and begins + DAY <= end
        fits = bands in {None, held} and not any(at_s < edge < at_s + DAY_S for edge in edges)
        if not by_day or (whole and fits):
            found[at_s] = version
    return found


def _between(from_s: int, until_s: int, days: Sequence[int]) -> tuple[Span, ...]:
    """What of `[from_s, until_s)` lies in none of the days."""
    spans, at = [], from_s
    for day in days:
        if day > at:
            spans.append((at, min(day, until_s)))
        at = max(at, day + DAY_S)
    if at < until_s:
        spans.append((at, until_s))
    return tuple(spans)


def _text(bands: tuple[int, ...]) -> str:
    return ",".join(str(hour) for hour in bands)


def _do(query: client.Query) -> None:
    text, parameters = query.sql()
    client.statement(query.name, text, parameters, timeout_s=TIMEOUT_S, settings=PLAIN_INSERT)


def _run(query: client.Query) -> list[tuple[int, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S).rows
