"""The page that compares what engines counted with what events account for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.figures_leakage import leakage_figure
from dashboard.operator import leakage_shown as shown
from dashboard.operator.filters import RANGES, Filters
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.shelf import SHELF
from dashboard.operator.together import together
from metering.public import LeakageReport, LeakageState, leakage_report_asked, leakage_state, leakage_trend_asked

GROUPS = ("node", "engine", "model", "region")
SCOPE = ("region", "model")
HOUR = timedelta(hours=1)
FRESH_S, EVERY_S = 29.0, 10.0  # an hour is settled ten minutes after it has ended


@dataclass(frozen=True)
class Reading:
    end: datetime
    state: LeakageState
    report: LeakageReport
    figure: dict[str, Any]


def _read(filters: Filters, ids: Ids) -> Shown:
    found = SHELF.kept(("leakage", filters), FRESH_S, lambda: _reading(filters))
    report, state = found.report, found.state
    context = {
        "end": found.end,
        "span": filters.label,
        "custom": bool(filters.start),
        "settled": state.at is not None,
        "findings": state.findings,
        "threshold": state.threshold,
        "tiles": shown.tiles(report, state),
        "rows": shown.rows(report, state),
        "total": shown.total(report),
        "simulated": report.total.simulated,
    }
    return Shown(datetime.now(UTC), context, {"chart-leakage": found.figure})


def _reading(filters: Filters) -> Reading:
    """Up to the end of the latest hour whose energy is settled; before the first one, up to this hour."""
    state = leakage_state()
    end = state.at or _hour(datetime.now(UTC))
    if filters.start and filters.end:
        start, end = _hour(filters.start), min(_hour(filters.end + HOUR - timedelta(microseconds=1)), end)
        start = min(start, end - HOUR)
    else:
        start = end - RANGES[filters.range].length
    only = {name: chosen for name in SCOPE if (chosen := getattr(filters, name))}
    report, trend = together(
        leakage_report_asked(start, end, group_by=GROUPS, only=only), leakage_trend_asked(start, end, only)
    )
    return Reading(end, state, report, leakage_figure(trend, state.threshold.share))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


PAGE = Page(
    key="leakage",
    title="Leakage",
    template="operator/leakage.html",
    section="ingest",
    part="leakage",
    read=_read,
    parts={"leakage-state": "operator/_leakage_state.html", "leakage-engines": "operator/_leakage_engines.html"},
    scope=SCOPE,
    ranges=("24h", "7d", "30d", "90d"),
    every_s=EVERY_S,
    compares=False,
)
