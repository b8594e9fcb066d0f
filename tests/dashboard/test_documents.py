"""Documents for people who are logged in: a customer gets its own, staff everybody's."""

import csv
import io
from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from billing.models import Invoice
from metering.contracts import TenantInfo
from tests.billing.documents import issued, note_of, words_of
from tests.dashboard.conftest import LogIn

STAFFS = ("invoice-pdf", "invoice-xml", "invoice-items", "credit-note-pdf")
CUSTOMERS = tuple(f"portal-{name}" for name in STAFFS)
Address = Callable[[str], str]


@pytest.fixture
def invoice(tenant: TenantInfo) -> Invoice:
    return issued(tenant.key, [{"type": "flat_fee", "explanation": "Platform fee"}])


@pytest.fixture
def address(invoice: Invoice) -> Address:
    note = note_of(invoice)
    return lambda name: reverse(name, args=[note.number if "credit-note" in name else invoice.number])


def test_staff_get_everybodys_documents(address: Address, log_in: LogIn) -> None:
    for role in ("operator", "finance"):
        client = log_in(role)
        assert {name: client.get(address(name)).status_code for name in STAFFS} == dict.fromkeys(STAFFS, 200)
        assert {client.get(address(name)).status_code for name in CUSTOMERS} == {403}


def test_a_customer_gets_its_own_documents_in_the_portal(tenant: TenantInfo, address: Address, log_in: LogIn) -> None:
    client = log_in("customer", tenant.key)
    assert {name: client.get(address(name)).status_code for name in CUSTOMERS} == dict.fromkeys(CUSTOMERS, 200)
    assert {client.get(address(name)).status_code for name in STAFFS} == {403}


def test_another_customers_documents_are_not_found(other: TenantInfo, address: Address, log_in: LogIn) -> None:
    client = log_in("customer", other.key)
    assert {client.get(address(name)).status_code for name in CUSTOMERS} == {404}


def test_who_is_not_logged_in_is_sent_to_the_log_in(address: Address) -> None:
    for name in STAFFS + CUSTOMERS:
        answer = Client().get(address(name))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login/?next="), name


def test_documents_answer_get_alone(tenant: TenantInfo, address: Address, log_in: LogIn) -> None:
    client = log_in("customer", tenant.key)
    assert {client.post(address(name)).status_code for name in CUSTOMERS} == {405}


def test_what_there_is_not_is_not_found(log_in: LogIn) -> None:
    client = log_in("finance")
    assert {client.get(reverse(name, args=["TW-1999-000001"])).status_code for name in STAFFS} == {404}


def test_they_are_downloads(invoice: Invoice, address: Address, log_in: LogIn) -> None:
    client = log_in("finance")
    pdf, xml, items = (_got(client, address(name)) for name in ("invoice-pdf", "invoice-xml", "invoice-items"))
    assert (pdf["Content-Type"], pdf["Content-Disposition"]) == (
        "application/pdf",
        f'attachment; filename="{invoice.number}.pdf"',
    )
    assert "Platform fee" in words_of(pdf.content)
    assert (xml["Content-Type"], xml["Content-Disposition"]) == (
        "application/xml",
        f'attachment; filename="{invoice.number}.xml"',
    )
    (row,) = csv.DictReader(io.StringIO(b"".join(items.streaming_content).decode(), newline=""))
    assert (row["description"], row["amount"]) == ("Platform fee", "1.00")


def test_a_detail_that_there_is_not_is_not_found(address: Address, log_in: LogIn) -> None:
    client = log_in("finance")
    assert client.get(address("invoice-items"), {"detail": "lines"}).status_code == 200
    assert client.get(address("invoice-items"), {"detail": "days"}).status_code == 404


def test_without_an_electronic_invoice_the_page_says_what_is_missing(tenant: TenantInfo, log_in: LogIn) -> None:
    plain = issued(tenant.key, seller={})
    answer = log_in("finance").get(reverse("invoice-xml", args=[plain.number]))
    assert answer.status_code == 409
    assert "the seller has no country" in answer.content.decode()


def test_the_invoices_page_links_to_them(invoice: Invoice, address: Address, tenant: TenantInfo, log_in: LogIn) -> None:
    staffs = log_in("finance").get(reverse("invoice", args=[invoice.number])).content.decode()
    customers = log_in("customer", tenant.key).get(reverse("portal-invoice", args=[invoice.number])).content.decode()
    for name in ("invoice-pdf", "invoice-xml", "invoice-items"):
        assert f'href="{address(name)}"' in staffs, name
        assert f'href="{address(f"portal-{name}")}"' in customers, name


def _got(client: Client, path: str) -> HttpResponse:
    answer: HttpResponse = client.get(path)
    assert answer.status_code == 200
    return answer
