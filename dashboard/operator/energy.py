"""The page of energy: what the counters say, whose it is, and what it costs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard import trouble
from dashboard.access import OPERATOR, Visitor, only
from dashboard.figures_energy import energy_figure
from dashboard.operator import energy_shown as shown
from dashboard.operator.filters import UnknownFilter
from dashboard.operator.ranges import HOURS_AND_MONTH, chosen
from metering.public import EnergyReport, energy_health, energy_report, energy_settled

TEMPLATE = "operator/energy.html"
GROUPS = {"tenant": "Customers", "model": "Models"}
TABLES = (("tenant", "By customer"), ("model", "By model"), ("tier", "By tier"))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BY_HOUR_UP_TO = timedelta(days=7)


@dataclass(frozen=True)
class Asked:
    """`by`: whose energy the chart shows."""

    range: str
    by: str

    @classmethod
    def read(cls, request: HttpRequest) -> "Asked":
        """Raises UnknownFilter."""
        by = request.GET.get("by") or "model"
        if by not in GROUPS:
            raise UnknownFilter(f"The chart shows energy by {' or '.join(GROUPS)}, not by {by!r}.")
        return cls(chosen(request.GET.get("range"), HOURS_AND_MONTH, "24h"), by)


@require_GET
@only(OPERATOR)
def energy(request: HttpRequest, who: Visitor) -> HttpResponse:
    try:
        asked = Asked.read(request)
    except UnknownFilter as error:
        return trouble.not_understood(request, error)
    page: dict[str, Any] = {"section": "fleet", "part": "energy", "ranges": HOURS_AND_MONTH, "range": asked.range}
    page |= {"groups": GROUPS, "by": asked.by, "span": HOURS_AND_MONTH[asked.range]}
    try:
        page |= _reading(asked)
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, TEMPLATE, page, error)
    return render(request, TEMPLATE, page)


def _reading(asked: Asked) -> dict[str, Any]:
    """Up to the end of the latest hour of which all energy is closed; before the first one, up to this hour."""
    now = datetime.now(UTC)
    end = energy_settled().hour or now.replace(minute=0, second=0, microsecond=0)
    start = HOURS_AND_MONTH[asked.range].start(end)
    found = {group: energy_report(start, end, group_by=(group,)) for group, _ in TABLES}
    report, health = found["tenant"], energy_health(now)
    return {
        "end": end,
        "any": bool(report.rows),
        "findings": shown.findings(report, health),
        "tiles": shown.tiles(report, health),
        "tables": [(group, title, shown.rows(found[group], group)) for group, title in TABLES],
        "nobodys": shown.nobodys_rows(report),
        "total": shown.total(report),
        "coefficients": shown.coefficients(health.coefficients),
        "currencies": tuple(report.total.energy_cost),
        "simulated": report.total.simulated,
        "figures": {"chart-energy": _figure(asked, report)} if report.rows else {},
    }


def _figure(asked: Asked, report: EnergyReport) -> dict[str, Any]:
    """By the hour up to a week, by the day beyond."""
    by_hour = report.end - report.start <= BY_HOUR_UP_TO
    step = HOUR if by_hour else DAY
    first = report.start if by_hour else report.start.replace(hour=0)
    steps = [first + n * step for n in range(-((first - report.end) // step))]
    series = energy_report(report.start, report.end, window="hour" if by_hour else "day", group_by=(asked.by,))
    return energy_figure(series.rows, asked.by, steps, step)
