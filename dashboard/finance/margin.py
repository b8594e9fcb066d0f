"""Margins of a month, by customer and by model, and their CSV."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.contracts import MarginReport
from billing.public import margin_report, margin_settled_hour
from dashboard import csv, trouble
from dashboard.access import FINANCE, OPERATOR, Visitor, only
from dashboard.finance import margin_shown as shown
from dashboard.finance.margin_csv import COLUMNS, csv_rows
from dashboard.portal.months import Month, chosen, offered

TEMPLATE = "finance/margin.html"


@dataclass(frozen=True)
class Shown:
    """`end`: the month's, or before it the end of the latest hour of which all energy is settled. `start` == `end`: nothing is."""

    month: Month
    end: datetime

    @property
    def start(self) -> datetime:
        return self.month.period.start


@require_GET
@only(OPERATOR, FINANCE)
def margin(request: HttpRequest, who: Visitor) -> HttpResponse:
    now = datetime.now(UTC)
    try:
        month = chosen(request.GET.get("month"), now)
    except ValueError as error:
        return trouble.not_understood(request, error)
    # Operators find it among the fleet's pages, finance in the navigation itself.
    page: dict[str, Any] = {
        "section": "fleet" if who.role == OPERATOR else "margin",
        "part": "margin",
        "month": month,
        "months": offered(month, now),
    }
    try:
        page |= _reading(_until(month, now))
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, TEMPLATE, page, error)
    return render(request, TEMPLATE, page)


@require_GET
@only(OPERATOR, FINANCE)
def margin_csv(request: HttpRequest, who: Visitor) -> HttpResponse:
    """By customer and model, exact; and what is nobody's, so that the columns add up to all cost."""
    now = datetime.now(UTC)
    try:
        asked = _until(chosen(request.GET.get("month"), now), now)
        rows = _report(asked, "tenant", "model").rows if asked.start < asked.end else ()
    except ValueError as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    except trouble.UNREADABLE as error:
        return HttpResponse(f"{trouble.explained(error)}\n", status=503, content_type="text/plain")
    return csv.download(f"margin-{asked.month.key}.csv", COLUMNS, csv_rows(rows))


def _until(month: Month, now: datetime) -> Shown:
    """Up to now, what a month is worth rises by the hour; so it is read up to an hour of which the costs are known too."""
    hour = margin_settled_hour() or now.replace(minute=0, second=0, microsecond=0)
    return Shown(month, max(min(month.period.end, hour), month.period.start) if month.is_current else month.period.end)


def _report(asked: Shown, *groups: str) -> MarginReport:
    return margin_report(asked.start, asked.end, window="total", group_by=groups)


def _reading(asked: Shown) -> dict[str, Any]:
    if asked.start >= asked.end:
        return {"rows": False, "begun": False}
    by_tenant, by_model = _report(asked, "tenant"), _report(asked, "model")
    return {
        "end": asked.end,
        "begun": True,
        "rows": bool(by_tenant.rows),
        "notes": shown.notes(by_tenant),
        "groups": shown.tiles(by_tenant),
        "tables": [
            ("tenant", "By customer", shown.lines(by_tenant, "tenant")),
            ("model", "By model", shown.lines(by_model, "model")),
        ],
        "nobodys": shown.nobodys_lines(by_tenant),
        "total": shown.total(by_tenant),
        "currency": shown.only_currency(by_tenant),
        "simulated": by_tenant.total.simulated,
    }
