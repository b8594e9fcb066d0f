"""Documents over HTTP: `/api/v1/invoices/{number}.pdf`, `.xml`, credit notes, and the same for people who are logged in."""

import io
from decimal import Decimal

import pypdf
import pytest
from django.test import Client

from billing import documents
from billing.models import Invoice, InvoiceState
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.documents import issued, note_of, words_of

pytestmark = pytest.mark.django_db
INVOICES, NOTES = "/api/v1/invoices", "/api/v1/credit-notes"


@pytest.fixture
def other(tenant_key: str, db: None) -> TenantInfo:
    return metering.create_tenant(f"{tenant_key}-other")


@pytest.fixture
def invoice(tenant: TenantInfo) -> Invoice:
    return issued(tenant.key)


def paths(invoice: Invoice) -> list[str]:
    note = note_of(invoice)
    return [
        f"{INVOICES}/{invoice.number}.pdf",
        f"{INVOICES}/{invoice.number}.xml",
        f"{NOTES}/{note.number}.pdf",
        f"{NOTES}/{note.number}.xml",
    ]


def test_the_pdf_is_a_download_with_the_invoice_on_it(tenant: TenantInfo, invoice: Invoice) -> None:
    answer = get(f"{INVOICES}/{invoice.number}.pdf", key(tenant.key))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    shown = words_of(answer.content)
    for text in (
        invoice.number,
        "Input, standard 2,000,000 tokens 0.50 / 1M 1.00",
        "VAT 19 % on 1.00 0.19",
        "Amount due EUR 1.19",
        "seal 7",
        "list version 3",
    ):
        assert text in shown, text
    assert list(pypdf.PdfReader(io.BytesIO(answer.content)).attachments) == ["factur-x.xml"]
    assert get(f"{INVOICES}/{invoice.number}.pdf", key(tenant.key)).content == answer.content


@pytest.mark.parametrize("accept", ["application/pdf", "*/*", "application/json", "text/html"])
def test_a_file_comes_whatever_the_client_accepts(tenant: TenantInfo, invoice: Invoice, accept: str) -> None:
    for path in paths(invoice):
        assert get(path, key(tenant.key), Accept=accept).status_code == 200, path


def test_the_xml_is_the_one_inside_the_pdf(tenant: TenantInfo, invoice: Invoice) -> None:
    answer = get(f"{INVOICES}/{invoice.number}.xml", key(tenant.key))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/xml")
    pdf = get(f"{INVOICES}/{invoice.number}.pdf", key(tenant.key)).content
    (inside,) = pypdf.PdfReader(io.BytesIO(pdf)).attachments["factur-x.xml"]
    assert inside == answer.content


def test_without_what_the_standard_demands_there_is_a_pdf_but_no_xml(tenant: TenantInfo) -> None:
    plain = issued(tenant.key, seller={}, buyer={})
    answer = get(f"{INVOICES}/{plain.number}.xml", key(tenant.key))
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert "the seller has no country" in answer.json()["detail"]
    pdf = get(f"{INVOICES}/{plain.number}.pdf", key(tenant.key))
    assert pdf.status_code == 200
    assert tenant.name in words_of(pdf.content)
    assert list(pypdf.PdfReader(io.BytesIO(pdf.content)).attachments) == []


def test_a_credit_note_names_its_invoice(tenant: TenantInfo, invoice: Invoice) -> None:
    note = note_of(invoice)
    answer = get(f"{NOTES}/{note.number}.pdf", key(tenant.key))
    shown = words_of(answer.content)
    for text in (
        note.number,
        f"For invoice {invoice.number}",
        "Incident of 14 November",
        "VAT 19 % on 0.50 0.10",
        "Total EUR 0.60",
    ):
        assert text in shown, text
    assert b"<ram:TypeCode>381</ram:TypeCode>" in get(f"{NOTES}/{note.number}.xml", key(tenant.key)).content


def test_the_mark_of_a_void_invoice_is_on_it_and_its_xml_is_gone(tenant: TenantInfo, invoice: Invoice) -> None:
    InvoiceState.objects.filter(invoice=invoice).update(status=InvoiceState.Status.VOID)
    assert "VOID" in words_of(get(f"{INVOICES}/{invoice.number}.pdf", key(tenant.key)).content)
    assert get(f"{INVOICES}/{invoice.number}.xml", key(tenant.key)).status_code == 409


def test_the_invoice_of_a_demo_tenant_says_so(tenant_key: str) -> None:
    demo = metering.create_tenant(tenant_key, is_demo=True)
    made = issued(demo.key)
    assert "Demo data" in words_of(documents.pdf(made.number, demo.key))
    assert b"Demo data" in documents.einvoice_xml(made.number)


def test_a_draft_has_no_document(tenant: TenantInfo, invoice: Invoice) -> None:
    with pytest.raises(documents.NoSuchDocument):
        documents.pdf("TW-2026-999999")


def test_adjustments_name_the_invoice_that_they_correct(tenant: TenantInfo, invoice: Invoice) -> None:
    late = {"type": "adjustment", "origin": invoice, "amount": Decimal("1.00"), "explanation": "Late events"}
    assert f"Invoice {invoice.number}" in words_of(documents.pdf(issued(tenant.key, [late], edition=1).number))


def test_another_tenants_document_is_404_as_one_that_does_not_exist_is(other: TenantInfo, invoice: Invoice) -> None:
    token = key(other.key)
    for path in paths(invoice):
        number = path.rsplit("/", 1)[1].split(".")[0]
        foreign, missing = get(path, token), get(path.replace(number, "TW-1999-000001"), token)
        assert (foreign.status_code, missing.status_code) == (404, 404), path
        assert foreign.json()["detail"].replace(number, "N") == missing.json()["detail"].replace("TW-1999-000001", "N")


@pytest.mark.parametrize(
    "number", ["x" * 40, "a%00b", "../TW", "TW 1", "%2e%2e%2fetc", "'; drop", "TW-2026-000001.pdf"]
)
def test_what_is_no_number_is_404(tenant: TenantInfo, number: str) -> None:
    for path in (f"{INVOICES}/{number}.pdf", f"{INVOICES}/{number}.xml", f"{NOTES}/{number}.pdf"):
        assert get(path, key(tenant.key)).status_code == 404, path


def test_no_key_is_401_and_a_key_without_the_scope_403(tenant: TenantInfo, invoice: Invoice) -> None:
    for path in paths(invoice):
        assert get(path, None).status_code == 401, path
        assert get(path, key(tenant.key, "usage:read", "ingest")).status_code == 403, path
        assert get(path, key(None)).status_code == 200, path


def test_unknown_parameters_are_refused_by_name(tenant: TenantInfo, invoice: Invoice) -> None:
    answer = get(f"{INVOICES}/{invoice.number}.pdf", key(tenant.key), {"paper": "a3"})
    assert answer.status_code == 400
    assert "paper" in str(answer.json())


def test_the_files_are_in_the_openapi_document() -> None:
    described = Client().get("/api/schema/", {"format": "json"}).json()["paths"]
    assert "application/pdf" in described[f"{INVOICES}/{{number}}.pdf"]["get"]["responses"]["200"]["content"]
    assert "application/xml" in described[f"{NOTES}/{{number}}.xml"]["get"]["responses"]["200"]["content"]
