"""Lists and pages of invoices: everybody's for operator and finance, the visitor's own for a customer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.contracts import INVOICE_COLUMNS, InvoiceLineInfo, InvoiceSummary
from billing.public import INVOICE_STATUSES, DraftRefused, draft, invoice, invoices, plain
from dashboard import csv
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, only, own_tenant
from dashboard.formats import decimals
from dashboard.invoices_shown import event_said, lines_shown, overdue, state_class

PAGE = 100


@dataclass(frozen=True)
class Totals:
    """Of the invoices listed, one for each currency."""

    currency: str
    count: int
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    outstanding: Decimal


@require_GET
@only(OPERATOR, FINANCE)
def all_invoices(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _list(request, None, "invoice", "invoices-csv")


@require_GET
@only(CUSTOMER)
def own_invoices(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _list(request, own_tenant(who), "portal-invoice", "portal-invoices-csv")


@require_GET
@only(OPERATOR, FINANCE)
def any_invoice(request: HttpRequest, who: Visitor, number: str) -> HttpResponse:
    return _page(request, number, None)


@require_GET
@only(CUSTOMER)
def own_invoice(request: HttpRequest, who: Visitor, number: str) -> HttpResponse:
    return _page(request, number, own_tenant(who))


@require_GET
@only(OPERATOR, FINANCE)
def all_csv(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _csv("invoices.csv", invoices(None, limit=None))


@require_GET
@only(CUSTOMER)
def own_csv(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _csv("invoices.csv", invoices(own_tenant(who), limit=None))


@require_GET
@only(OPERATOR, FINANCE)
def any_draft(request: HttpRequest, who: Visitor, key: str) -> HttpResponse:
    return _draft(request, key, with_customer=True)


@require_GET
@only(CUSTOMER)
def own_draft(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _draft(request, own_tenant(who), with_customer=False)


def _list(request: HttpRequest, tenant: str | None, page: str, csv_name: str) -> HttpResponse:
    status = request.GET.get("status") or None
    if status not in {None, *INVOICE_STATUSES}:
        raise Http404(f"there is no status {status!r}")
    whose = tenant if tenant is not None else request.GET.get("customer") or None
    found = invoices(whose, limit=PAGE + 1, before=request.GET.get("before") or None, status=status)
    listed = found[:PAGE]
    context = {
        "section": "invoices",
        "invoices": [(one, state_class(one.status)) for one in listed],
        "totals": totals(listed),
        "older": listed[-1].number if len(found) > PAGE else "",
        "statuses": INVOICE_STATUSES,
        "status": status or "",
        "page": page,
        "csv": csv_name,
        "with_customer": tenant is None,
        "customer": whose if tenant is None else None,
    }
    return render(request, "invoices/list.html", context)


def _page(request: HttpRequest, number: str, tenant: str | None) -> HttpResponse:
    found = invoice(number, tenant)
    if found is None:
        raise Http404(f"there is no invoice {number!r}")
    due = found.summary.due_on
    context = {
        "section": "invoices",
        "invoice": found,
        "lines": lines_shown(found.lines),
        "state": state_class(found.summary.status),
        "lateness": overdue((timezone.now().date() - due).days) if found.summary.outstanding else "",
        "residual": residual(found.lines),
        "amount_places": max((decimals(line.amount_exact) for line in found.lines), default=0),
        "history": [(event, event_said(event)) for event in found.events],
        "with_customer": tenant is None,
    }
    return render(request, "invoices/detail.html", context)


def _draft(request: HttpRequest, tenant: str, *, with_customer: bool) -> HttpResponse:
    try:
        found = draft(tenant)
    except LookupError as error:
        raise Http404(str(error)) from error
    except DraftRefused as error:
        return render(request, "invoices/no_draft.html", {"section": "invoices", "reason": str(error)}, status=409)
    context = {
        "section": "invoices",
        "draft": found,
        "lines": lines_shown(found.lines),
        "residual": residual(found.lines),
        "amount_places": max((decimals(line.amount_exact) for line in found.lines), default=0),
        "with_customer": with_customer,
    }
    return render(request, "invoices/draft.html", context)


def residual(lines: Sequence[InvoiceLineInfo]) -> Decimal:
    """What rounding once per line left out, over all lines."""
    return sum((line.residual for line in lines), Decimal(0))


def totals(listed: Sequence[InvoiceSummary]) -> list[Totals]:
    by_currency: defaultdict[str, list[InvoiceSummary]] = defaultdict(list)
    for one in listed:
        by_currency[one.currency].append(one)
    return [
        Totals(
            currency,
            len(held),
            sum((one.subtotal for one in held), Decimal(0)),
            sum((one.tax for one in held), Decimal(0)),
            sum((one.total for one in held), Decimal(0)),
            sum((one.outstanding for one in held), Decimal(0)),
        )
        for currency, held in sorted(by_currency.items())
    ]


def _csv(name: str, listed: Sequence[InvoiceSummary]) -> HttpResponse:
    return csv.download(name, INVOICE_COLUMNS, [[_cell(one, column) for column in INVOICE_COLUMNS] for one in listed])


def _cell(one: InvoiceSummary, column: str) -> str:
    value = getattr(one, column)
    if isinstance(value, Decimal):
        return plain(value)
    return value if isinstance(value, str) else value.isoformat()
