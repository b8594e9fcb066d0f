"""Invoices and credit notes as files: everybody's for operator and finance, the visitor's own for a customer."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.public import (
    ItemDetail,
    NoElectronicInvoice,
    NoSuchDocument,
    credit_note_pdf,
    invoice_items,
    invoice_pdf,
    invoice_xml,
    streamed,
)
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, only, own_tenant

Made = Callable[[str, str | None], bytes]
PDF, XML, CSV = "application/pdf", "application/xml", "text/csv; charset=utf-8"


@require_GET
@only(OPERATOR, FINANCE)
def any_pdf(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _file(invoice_pdf, number, None, PDF)


@require_GET
@only(CUSTOMER)
def own_pdf(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _file(invoice_pdf, number, own_tenant(who), PDF)


@require_GET
@only(OPERATOR, FINANCE)
def any_credit_note(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _file(credit_note_pdf, number, None, PDF)


@require_GET
@only(CUSTOMER)
def own_credit_note(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _file(credit_note_pdf, number, own_tenant(who), PDF)


@require_GET
@only(OPERATOR, FINANCE)
def any_xml(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _xml(request, number, None)


@require_GET
@only(CUSTOMER)
def own_xml(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _xml(request, number, own_tenant(who))


@require_GET
@only(OPERATOR, FINANCE)
def any_items(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _items(request, number, None)


@require_GET
@only(CUSTOMER)
def own_items(request: HttpRequest, who: Visitor, number: str) -> HttpResponseBase:
    return _items(request, number, own_tenant(who))


def _xml(request: HttpRequest, number: str, tenant: str | None) -> HttpResponseBase:
    try:
        return _file(invoice_xml, number, tenant, XML)
    except NoElectronicInvoice as error:
        context = {"section": "invoices", "number": number, "reasons": error.reasons}
        return render(request, "invoices/no_einvoice.html", context, status=409)


def _file(make: Made, number: str, tenant: str | None, media_type: str) -> HttpResponse:
    try:
        content = make(number, tenant)
    except NoSuchDocument:
        raise Http404(f"there is no document {number!r}") from None
    ending = media_type.rpartition("/")[2]
    headers = {"Content-Disposition": f'attachment; filename="{number}.{ending}"'}
    return HttpResponse(content, content_type=media_type, headers=headers)


def _items(request: HttpRequest, number: str, tenant: str | None) -> HttpResponseBase:
    """`?detail=` lines, hours or requests."""
    named = request.GET.get("detail", ItemDetail.HOURS.value)
    if named not in set(ItemDetail):
        raise Http404(f"no such detail: {named!r}")
    try:
        pieces = invoice_items(number, tenant, ItemDetail(named))
    except NoSuchDocument:
        raise Http404(f"there is no document {number!r}") from None
    return streamed(request, pieces, name=f"{number}-{named}.csv", media_type=CSV)
