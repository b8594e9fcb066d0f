"""The usage page, of the visitor's own tenant (portal) or of a customer that operator or finance names; and its CSV."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.contracts import CostRow
from billing.public import invoices, payable, plain
from dashboard import csv, figures
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, customer_named, only
from dashboard.formats import words
from dashboard.portal.months import Month, chosen, days, offered
from dashboard.portal.usage import month_of_usage
from metering.contracts import TenantInfo
from metering.public import tenants

CSV_COLUMNS = (
    "day",
    "model",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "currency",
)


@require_GET
@only(CUSTOMER)
def portal(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _usage_page(request, customer_named(who.tenant), "usage")


@require_GET
@only(CUSTOMER)
def portal_csv(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _usage_csv(request, customer_named(who.tenant))


@require_GET
@only(OPERATOR, FINANCE)
def customers(request: HttpRequest, who: Visitor) -> HttpResponse:
    return render(request, "portal/customers.html", {"section": "customers", "tenants": tenants()})


@require_GET
@only(OPERATOR, FINANCE)
def customer(request: HttpRequest, who: Visitor, key: str) -> HttpResponse:
    return _usage_page(request, customer_named(key), "customers")


@require_GET
@only(OPERATOR, FINANCE)
def customer_csv(request: HttpRequest, who: Visitor, key: str) -> HttpResponse:
    return _usage_csv(request, customer_named(key))


def _usage_page(request: HttpRequest, info: TenantInfo, section: str) -> HttpResponse:
    now = datetime.now(UTC)
    try:
        shown = chosen(request.GET.get("month"), now)
    except ValueError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    context = {
        "section": section,
        "tenant": info,
        "month": shown,
        "months": offered(shown, now),
        "invoices": [one for one in invoices(info.key) if one.period_start == shown.period.start],
    }
    return render(request, "portal/usage.html", context | _figures_of(info, shown, now))


def _figures_of(info: TenantInfo, shown: Month, now: datetime) -> dict[str, Any]:
    midnights = days(shown.period, now)
    usage = month_of_usage(info.key, info.currency, shown.period, midnights)
    return {
        "as_of": now,
        "usage": usage,
        "amount": payable(usage.priced, info.currency),
        "unpriced": _unpriced(usage.rows),
        "figures": {"chart-daily": figures.daily_figure([day for day, _ in usage.by_day], usage.tokens)},
    }


def _unpriced(rows: Iterable[CostRow]) -> list[str]:
    """Models and kinds without a price, each once."""
    return sorted({f"{row.groups['model']} ({words(kind)})" for row in rows for kind in row.unpriced_kinds})


def _usage_csv(request: HttpRequest, info: TenantInfo) -> HttpResponse:
    now = datetime.now(UTC)
    try:
        shown = chosen(request.GET.get("month"), now)
    except ValueError as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    usage = month_of_usage(info.key, info.currency, shown.period, days(shown.period, now))
    return csv.download(f"usage-{info.key}-{shown.key}.csv", CSV_COLUMNS, _csv_rows(usage.rows))


def _csv_rows(rows: Iterable[Any]) -> Iterable[list[Any]]:
    for row in rows:
        cost = "" if row.cost is None else plain(row.cost)
        measures = [getattr(row, name) for name in CSV_COLUMNS[2:-2]]
        yield [f"{row.window_start:%Y-%m-%d}", row.groups["model"], *measures, cost, row.currency]
