"""Leakage over a range: all together, by hour, and by whatever it was asked to be grouped by; and what is on alert now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from metering.telemetry.reconciliation.alerts import (
    RECENT,
    LeakageAlert,
    Threshold,
    alerts,
    leaking_throughout,
    unjudged,
)
from metering.telemetry.reconciliation.findings import LeakageFinding, findings
from metering.telemetry.reconciliation.hours import HOUR, EngineHour, Leakage, together
from metering.telemetry.reconciliation.reading import TIMEOUT_S, engine_hours, leakage_sums
from metering.telemetry.settled import Settled, energy_settled

GROUPS = ("node", "engine", "model", "region")
WINDOWS = ("hour", "day", "month", "total")
LOOK_BACK = timedelta(hours=48)  # how far back a run of leaking hours is followed


@dataclass(frozen=True)
class LeakageRow:
    """One window and combination of groups; a group that was not asked for is ''."""

    window_start: datetime
    found: Leakage
    node: str = ""
    engine: str = ""
    model: str = ""
    region: str = ""


@dataclass(frozen=True)
class LeakageReport:
    """`rows` are ordered by window and groups; `total` is all of them together. Minutes before `closed_until` are settled."""

    start: datetime
    end: datetime
    closed_until: datetime | None
    rows: tuple[LeakageRow, ...]
    total: Leakage


@dataclass(frozen=True)
class LeakageState:
    """What is on alert at the end of the latest settled hour, `at` (None: there is none yet), and in words."""

    at: datetime | None
    threshold: Threshold
    alerts: tuple[LeakageAlert, ...] = ()
    findings: tuple[LeakageFinding, ...] = ()
    latest: tuple[EngineHour, ...] = ()  # each engine's latest complete hour of the last few


def leakage_report(
    start: datetime,
    end: datetime,
    *,
    window: str = "total",
    group_by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> LeakageReport:
    """Of `[start, end)`, on whole hours. `only`: values of GROUPS that narrow it.

    An hour's window is there only if something is known of an engine in it. Raises ValueError for bounds, windows, groups or filters that
    are none; ClickHouseRefused (code 396) for more engine hours than one answer can hold.
    """
    return leakage_report_asked(start, end, window=window, group_by=group_by, only=only)()


def leakage_report_asked(
    start: datetime,
    end: datetime,
    *,
    window: str = "total",
    group_by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> Callable[[], LeakageReport]:
    """The same in two: what PostgreSQL has to say is asked now, and ClickHouse by what is returned, in whatever thread."""
    if window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
    if unknown := set(group_by) - set(GROUPS):
        raise ValueError(f"unknown group {min(unknown)!r}: one of {', '.join(GROUPS)}")
    settled = energy_settled()
    groups = tuple(name for name in GROUPS if name in group_by)

    def report() -> LeakageReport:
        found = leakage_sums(start, end, settled, window=window, groups=groups, only=only)
        rows = tuple(LeakageRow(at, sums, **dict(zip(groups, values, strict=True))) for at, values, sums in found)
        return LeakageReport(start, end, settled.closed_until, rows, together(row.found for row in rows))

    return report


def leakage_trend_asked(
    start: datetime, end: datetime, only: Mapping[str, str] | None = None
) -> Callable[[], list[LeakageRow]]:
    """One row for every hour of `[start, end)`, also for those of which nothing is known; in two, as leakage_report_asked."""
    hourly = leakage_report_asked(start, end, window="hour", only=only)

    def trend() -> list[LeakageRow]:
        found = {row.window_start: row for row in hourly().rows}
        hours = (start + n * HOUR for n in range((end - start) // HOUR))
        return [found.get(hour, LeakageRow(hour, Leakage())) for hour in hours]

    return trend


def leakage_state(look_back: timedelta = LOOK_BACK, *, timeout_s: float = TIMEOUT_S) -> LeakageState:
    threshold = Threshold(settings.LEAKAGE_ALERT_SHARE, settings.LEAKAGE_MIN_TOKENS)
    settled = energy_settled()
    end = settled.hour
    if end is None:
        return LeakageState(None, threshold)
    hours = _looked_at(end - look_back, end, settled, threshold, timeout_s)
    now = alerts(hours, threshold, end - look_back, end)
    recent = [hour for hour in hours if hour.end > end - RECENT]
    words = findings(now, unjudged(recent, threshold, end))
    latest = {(hour.node, hour.engine): hour for hour in recent if not hour.incomplete}
    return LeakageState(end, threshold, tuple(now), tuple(words), tuple(latest.values()))


def _looked_at(
    start: datetime, end: datetime, settled: Settled, threshold: Threshold, timeout_s: float
) -> list[EngineHour]:
    """The last hours of all engines, and before them those of the engines of which the last hours do not say since when they leak."""
    begin = max(start, end - RECENT)
    recent = engine_hours(begin, end, settled, timeout_s=timeout_s)
    if begin == start:
        return recent
    further = leaking_throughout(recent, threshold)
    older = engine_hours(start, begin, settled, engines=further, timeout_s=timeout_s) if further else []
    return [*older, *recent]
