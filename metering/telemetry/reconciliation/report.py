"""Leakage over a range: all together, by hour, and by whatever it was asked to be grouped by; and what is on alert now."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from metering.telemetry.reconciliation.alerts import LeakageAlert, Threshold, alerts, unjudged
from metering.telemetry.reconciliation.findings import LeakageFinding, findings
from metering.telemetry.reconciliation.hours import HOUR, EngineHour, Leakage, leakage
from metering.telemetry.reconciliation.reading import TIMEOUT_S, engine_hours
from metering.telemetry.settled import energy_settled

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
    latest: tuple[EngineHour, ...] = ()  # each engine's latest complete hour of those looked at


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
    if window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
    if unknown := set(group_by) - set(GROUPS):
        raise ValueError(f"unknown group {min(unknown)!r}: one of {', '.join(GROUPS)}")
    settled = energy_settled()
    hours = engine_hours(start, end, settled, only)
    rows = _rows(hours, _windows(window, start), tuple(name for name in GROUPS if name in group_by))
    return LeakageReport(start, end, settled.closed_until, rows, leakage(hours))


def leakage_trend(start: datetime, end: datetime, only: Mapping[str, str] | None = None) -> list[LeakageRow]:
    """One row for every hour of `[start, end)`, also for those of which nothing is known."""
    found = {row.window_start: row for row in leakage_report(start, end, window="hour", only=only).rows}
    hours = (start + n * HOUR for n in range((end - start) // HOUR))
    return [found.get(hour, LeakageRow(hour, Leakage())) for hour in hours]


def leakage_state(look_back: timedelta = LOOK_BACK, *, timeout_s: float = TIMEOUT_S) -> LeakageState:
    threshold = Threshold(settings.LEAKAGE_ALERT_SHARE, settings.LEAKAGE_MIN_TOKENS)
    settled = energy_settled()
    end = settled.hour
    if end is None:
        return LeakageState(None, threshold)
    start = end - look_back
    hours = engine_hours(start, end, settled, timeout_s=timeout_s)
    now = alerts(hours, threshold, start, end)
    words = findings(now, unjudged(hours, threshold, end))
    latest = {(hour.node, hour.engine): hour for hour in hours if not hour.incomplete}
    return LeakageState(end, threshold, tuple(now), tuple(words), tuple(latest.values()))


def _rows(
    hours: Sequence[EngineHour], window: Callable[[datetime], datetime], groups: tuple[str, ...]
) -> tuple[LeakageRow, ...]:
    found: defaultdict[tuple[datetime, tuple[str, ...]], list[EngineHour]] = defaultdict(list)
    for hour in hours:
        found[window(hour.start), tuple(getattr(hour, name) for name in groups)].append(hour)
    return tuple(
        LeakageRow(at, leakage(found[at, values]), **dict(zip(groups, values, strict=True)))
        for at, values in sorted(found)
    )


def _windows(window: str, start: datetime) -> Callable[[datetime], datetime]:
    """The start of the window that holds an hour."""
    return {
        "hour": lambda hour: hour,
        "day": lambda hour: hour.replace(hour=0),
        "month": lambda hour: hour.replace(day=1, hour=0),
        "total": lambda _hour: start,
    }[window]
