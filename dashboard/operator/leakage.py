"""The page that compares what engines counted with what events account for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.figures_leakage import leakage_figure
from dashboard.operator import leakage_shown as shown
from dashboard.operator.filters import RANGES, Filters
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.shelf import SHELF
from dashboard.operator.together import Gather, InTime, nothing, together
from metering.public import LeakageState, leakage_report_asked, leakage_state, leakage_trend_asked

GROUPS = ("node", "engine", "model", "region")
SCOPE = ("region", "model")
HOUR = timedelta(hours=1)
FRESH_S, EVERY_S = 29.0, 10.0  # an hour is settled ten minutes after it has ended


def _read(filters: Filters, ids: Ids) -> Shown:
    return _shown(filters, together)


def _glance(filters: Filters, ids: Ids) -> Shown:
    return _shown(filters, InTime())


def _shown(filters: Filters, gather: Gather) -> Shown:
    """What `gather` gives up is shown as still being read."""
    state = SHELF.kept("leakage-state", FRESH_S, leakage_state)
    start, end = _span(filters, state)
    _, report, trend = gather(nothing, *_asked(filters, start, end))
    figure = leakage_figure(trend or [], state.threshold.share)
    context: dict[str, Any] = {
        "end": end,
        "span": filters.label,
        "custom": bool(filters.start),
        "settled": state.at is not None,
        "findings": state.findings,
        "threshold": state.threshold,
        "reading": report is None,
    }
    if report is not None:
        context |= {
            "tiles": shown.tiles(report, state),
            "rows": shown.rows(report, state),
            "total": shown.total(report),
            "simulated": report.total.simulated,
        }
    return Shown(datetime.now(UTC), context, {"chart-leakage": figure | {"reading": True} if trend is None else figure})


def _span(filters: Filters, state: LeakageState) -> tuple[datetime, datetime]:
    """Up to the end of the latest hour whose energy is settled; before the first one, up to this hour."""
    end = state.at or _hour(datetime.now(UTC))
    if filters.start and filters.end:
        start, end = _hour(filters.start), min(_hour(filters.end + HOUR - timedelta(microseconds=1)), end)
        return min(start, end - HOUR), end
    return end - RANGES[filters.range].length, end


def _asked(filters: Filters, start: datetime, end: datetime) -> Iterator[Callable[[], Any]]:
    """The report and the trend, each kept for all who ask for the same."""
    only = {name: chosen for name in SCOPE if (chosen := getattr(filters, name))}
    place = (start, end, tuple(only.items()))
    asks: tuple[tuple[str, Callable[[], Callable[[], Any]]], ...] = (
        ("leakage-report", lambda: leakage_report_asked(start, end, group_by=GROUPS, only=only)),
        ("leakage-trend", lambda: leakage_trend_asked(start, end, only)),
    )
    for name, ask in asks:
        yield SHELF.asked((name, *place), FRESH_S, ask)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


PAGE = Page(
    key="leakage",
    title="Leakage",
    template="operator/leakage.html",
    section="ingest",
    part="leakage",
    read=_read,
    glance=_glance,
    parts={"leakage-state": "operator/_leakage_state.html", "leakage-engines": "operator/_leakage_engines.html"},
    scope=SCOPE,
    ranges=("24h", "7d", "30d", "90d"),
    every_s=EVERY_S,
    compares=False,
)
