"""Invoices and credit notes as files."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from billing import documents
from billing.api import parameters
from billing.api.views import FinanceView
from metering.contracts import Scope
from metering.public_api import InvalidParameter, credential_of

PDF, XML, CSV = "application/pdf", "application/xml", "text/csv"
Made = Callable[[str, str | None], bytes]


class NoSuchFile(exceptions.APIException):
    """It is there, but not in this form; the detail says what is missing."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "no_electronic_invoice"


class DocumentView(FinanceView):
    """A file, whatever the client says that it accepts; errors are problems in JSON."""

    required_scope = Scope.FINANCE_READ

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return JSONRenderer(), JSONRenderer.media_type

    def file(self, request: Request, number: str, make: Made, media_type: str, ending: str) -> HttpResponseBase:
        parameters.refuse_unknown(request.query_params, ())
        try:
            content = make(number, credential_of(request).tenant)
        except documents.NoSuchDocument:  # another tenant's is not told apart from one that does not exist
            raise exceptions.NotFound(f"there is no document {number!r}") from None
        except documents.NoElectronicInvoice as error:
            raise NoSuchFile(str(error)) from error
        return HttpResponse(content, content_type=media_type, headers=attachment(f"{number}.{ending}"))


def attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


class InvoicePdfView(DocumentView):
    """An invoice as PDF/A-3, with the electronic invoice inside where there can be one."""

    @extend_schema(operation_id="invoice_pdf", responses={(200, PDF): OpenApiTypes.BINARY})
    def get(self, request: Request, number: str) -> HttpResponseBase:
        return self.file(request, number, documents.pdf, PDF, "pdf")


class InvoiceXmlView(DocumentView):
    """An invoice in the syntax of UN/CEFACT CII (EN 16931). 409 where something that the standard demands is not known."""

    @extend_schema(operation_id="invoice_xml", responses={(200, XML): OpenApiTypes.BINARY})
    def get(self, request: Request, number: str) -> HttpResponseBase:
        return self.file(request, number, documents.einvoice_xml, XML, "xml")


class CreditNotePdfView(DocumentView):
    """A credit note as PDF/A-3, with the electronic one inside where there can be one."""

    @extend_schema(operation_id="credit_note_pdf", responses={(200, PDF): OpenApiTypes.BINARY})
    def get(self, request: Request, number: str) -> HttpResponseBase:
        return self.file(request, number, documents.credit_note_pdf, PDF, "pdf")


class CreditNoteXmlView(DocumentView):
    """A credit note in the syntax of UN/CEFACT CII (EN 16931)."""

    @extend_schema(operation_id="credit_note_xml", responses={(200, XML): OpenApiTypes.BINARY})
    def get(self, request: Request, number: str) -> HttpResponseBase:
        return self.file(request, number, documents.credit_note_xml, XML, "xml")


class InvoiceItemsView(DocumentView):
    """The items of an invoice as CSV: by hour, by request, or line by line. Their amounts add up to the subtotal."""

    @extend_schema(
        operation_id="invoice_items",
        parameters=[
            OpenApiParameter("detail", str, enum=[one.value for one in documents.Detail], description="default: hours")
        ],
        responses={(200, CSV): OpenApiTypes.STR},
    )
    def get(self, request: Request, number: str) -> HttpResponseBase:
        parameters.refuse_unknown(request.query_params, ("detail",))
        detail = _detail(parameters.single(request.query_params, "detail"))
        try:
            pieces = documents.itemised_csv(number, credential_of(request).tenant, detail)
        except documents.NoSuchDocument:
            raise exceptions.NotFound(f"there is no document {number!r}") from None
        return documents.streamed(request, pieces, name=f"{number}-{detail}.csv", media_type=f"{CSV}; charset=utf-8")


def _detail(named: str | None) -> documents.Detail:
    try:
        return documents.Detail(named) if named is not None else documents.Detail.HOURS
    except ValueError:
        raise InvalidParameter("detail", f"none of {', '.join(documents.Detail)}") from None
