"""The page that compares what engines counted with what events account for."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard import trouble
from dashboard.access import OPERATOR, Visitor, only
from dashboard.figures_leakage import leakage_figure
from dashboard.operator import leakage_shown as shown
from dashboard.operator.filters import UnknownFilter
from dashboard.operator.ranges import HOURS, TimeRange, chosen
from metering.public import leakage_report, leakage_state, leakage_trend

TEMPLATE = "operator/leakage.html"
GROUPS = ("node", "engine", "model", "region")


@require_GET
@only(OPERATOR)
def leakage(request: HttpRequest, who: Visitor) -> HttpResponse:
    try:
        key = chosen(request.GET.get("range"), HOURS, "24h")
    except UnknownFilter as error:
        return trouble.not_understood(request, error)
    page: dict[str, Any] = {"section": "fleet", "part": "leakage", "ranges": HOURS, "range": key, "span": HOURS[key]}
    try:
        page |= _reading(HOURS[key])
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, TEMPLATE, page, error)
    return render(request, TEMPLATE, page)


def _reading(span: TimeRange) -> dict[str, Any]:
    """Up to the end of the latest hour whose energy is settled; before the first one, up to this hour."""
    state = leakage_state()
    end = state.at or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = span.start(end)
    report = leakage_report(start, end, group_by=GROUPS)
    figure = leakage_figure(leakage_trend(start, end), state.threshold.share) if report.rows else None
    return {
        "end": end,
        "settled": state.at is not None,
        "findings": state.findings,
        "threshold": state.threshold,
        "tiles": shown.tiles(report, state),
        "rows": shown.rows(report, state),
        "total": shown.total(report),
        "simulated": report.total.simulated,
        "figures": {"chart-leakage": figure} if figure else {},
    }
