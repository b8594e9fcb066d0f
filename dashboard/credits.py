"""Prepaid and promotional credit: a customer's own page, and for operator and finance everybody's balances and each customer's page."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from billing.contracts import CREDIT_ENTRY_COLUMNS, CreditEntryInfo
from billing.public import (
    credit_balances,
    credit_entries,
    credit_grants,
    credit_outlook,
    plain,
    top_up_rule,
)
from dashboard import csv, trouble
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, customer_named, only
from metering.contracts import TenantInfo

PAGE = 100
TEMPLATE = "credits/detail.html"


@require_GET
@only(OPERATOR, FINANCE)
def all_credits(request: HttpRequest, who: Visitor) -> HttpResponse:
    return render(request, "credits/list.html", {"section": "credits", "balances": credit_balances()})


@require_GET
@only(OPERATOR, FINANCE)
def customer_credits(request: HttpRequest, who: Visitor, key: str) -> HttpResponse:
    return _page(request, customer_named(key), "customer-credits-csv", key)


@require_GET
@only(OPERATOR, FINANCE)
def customer_credits_csv(request: HttpRequest, who: Visitor, key: str) -> HttpResponse:
    return _csv(customer_named(key))


@require_GET
@only(CUSTOMER)
def own_credits(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _page(request, customer_named(who.tenant), "portal-credits-csv")


@require_GET
@only(CUSTOMER)
def own_credits_csv(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _csv(customer_named(who.tenant))


def _page(request: HttpRequest, tenant: TenantInfo, csv_name: str, *csv_args: str) -> HttpResponse:
    now = datetime.now(UTC)
    entries = credit_entries(tenant.key, limit=PAGE + 1, before=_before(request))
    grants = credit_grants(tenant.key, limit=None, now=now)
    page: dict[str, Any] = {
        "section": "credits",
        "tenant": tenant,
        "balance": next((one for one in credit_balances(tenant.key, now) if one.currency == tenant.currency), None),
        "open": [one for one in grants if one.left > 0],
        "used_up": sum(1 for one in grants if one.left <= 0),
        "entries": entries[:PAGE],
        "older": entries[PAGE - 1].entry if len(entries) > PAGE else "",
        "rule": top_up_rule(tenant),
        "csv": reverse(csv_name, args=csv_args),
    }
    try:  # only this asks for usage: what is held can be read whatever becomes of that
        page["outlook"] = credit_outlook(tenant, now) if page["balance"] else None
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, TEMPLATE, page, error)
    return render(request, TEMPLATE, page)


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _csv(tenant: TenantInfo) -> HttpResponse:
    rows = [[_cell(one, column) for column in CREDIT_ENTRY_COLUMNS] for one in credit_entries(tenant.key, limit=None)]
    return csv.download(f"credit-{tenant.key}.csv", CREDIT_ENTRY_COLUMNS, rows)


def _cell(one: CreditEntryInfo, column: str) -> str:
    value = getattr(one, column)
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
