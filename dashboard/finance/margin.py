"""Margins of a month, by customer and by model, and their CSV."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.contracts import MarginReport
from billing.public import kept_margins, margin_report, margin_reports, margin_settled_hour
from dashboard import csv, trouble
from dashboard.access import FINANCE, OPERATOR, Visitor, only
from dashboard.finance import margin_shown as shown
from dashboard.finance.margin_csv import COLUMNS, csv_rows
from dashboard.portal.months import Month, chosen, offered

TEMPLATE = "finance/margin.html"
LENGTH = 100  # customers on a page


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
        "section": "margin",
        "part": "margin",
        "month": month,
        "months": offered(month, now),
    }
    try:
        page |= _reading(month, now, request.GET.get("page"))
    except ValueError as error:
        return trouble.not_understood(request, error)
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


def _reports(month: Month, now: datetime) -> tuple[MarginReport, MarginReport] | None:
    """By customer and by model; None: nothing of the month is settled yet."""
    if kept := kept_margins(month.period.start, now):
        return kept
    asked = _until(month, now)
    if asked.start >= asked.end:
        return None
    by_tenant, by_model = margin_reports(asked.start, asked.end, window="total", groupings=(("tenant",), ("model",)))
    return by_tenant, by_model


def _reading(month: Month, now: datetime, page: str | None) -> dict[str, Any]:
    """Raises ValueError for a page that is none."""
    if page is not None and not page.isdecimal():
        raise ValueError(f"There is no page {page!r}.")
    number = int(page or 1)
    reports = _reports(month, now)
    if reports is None:
        return {"rows": False, "begun": False}
    by_tenant, by_model = reports
    count = sum(1 for row in by_tenant.rows if not row.label)
    number = max(min(number, -(-count // LENGTH)), 1)
    first = (number - 1) * LENGTH
    return {
        "end": by_tenant.end,
        "begun": True,
        "rows": bool(by_tenant.rows),
        "notes": shown.notes(by_tenant),
        "groups": shown.tiles(by_tenant),
        "tables": [
            ("tenant", "By customer", shown.lines(by_tenant, "tenant", (first, first + LENGTH))),
            ("model", "By model", shown.lines(by_model, "model")),
        ],
        "nobodys": shown.nobodys_lines(by_tenant),
        "total": shown.total(by_tenant),
        "currency": shown.only_currency(by_tenant),
        "simulated": by_tenant.total.simulated,
        "count": count,
        "first": first + 1,
        "last": min(first + LENGTH, count),
        "before": number - 1,
        "after": number + 1 if first + LENGTH < count else 0,
    }
