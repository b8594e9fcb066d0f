"""Credit notes: by line and amount, with their tax, under numbers of their own."""

import pytest
from django.utils import timezone

from billing import credit_notes, settling
from billing.credit_notes import CreditNoteRefused
from billing.models import CreditGrant, CreditNote, InvoiceSeries, Refund
from billing.voiding import VoidRefused, void
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.conftest import Use
from tests.billing.invoiced import D, Made, in_germany, made

pytestmark = pytest.mark.usefixtures("settled", "prices")


@pytest.fixture
def bill(tenant: TenantInfo, use: Use) -> Made:
    """Lines of 3.00 and 6.00, tax 1.71, total 10.71."""
    in_germany(tenant)
    found = made(tenant, use)
    assert (found.invoice.subtotal, found.invoice.tax, found.invoice.total) == (D("9.00"), D("1.71"), D("10.71"))
    return found


def issue(bill: Made, amounts: dict[int, str], how: str = "reduce", key: str = "k1") -> CreditNote:
    return credit_notes.issue(
        bill.number,
        {line: D(amount) for line, amount in amounts.items()},
        reason="Slow answers on the 15th",
        disposition=how,
        idempotency_key=key,
        actor="ada",
    )


def test_a_note_takes_back_what_it_says_with_its_share_of_the_tax(bill: Made) -> None:
    note = issue(bill, {1: "1.00", 2: "0.50"})
    assert note.number == f"CN-{timezone.now().year}-000001"
    assert (note.subtotal, note.tax, note.total) == (D("1.50"), D("0.28"), D("1.78"))  # 0.285, half to even
    assert [(line.line.position, line.amount) for line in note.lines.order_by("pk")] == [(1, 1), (2, D("0.5"))]
    assert (bill.state.credited, settling.outstanding(bill.state)) == (D("1.78"), D("8.93"))
    assert bill.state.status == "open"


def test_notes_over_all_of_an_invoice_add_up_to_all_of_its_tax_and_settle_it(bill: Made) -> None:
    for n, amounts in enumerate(({1: "0.33"}, {1: "0.33"}, {1: "2.34", 2: "1.11"}, {2: "4.89"})):
        issue(bill, amounts, key=f"k{n}")
    notes = CreditNote.objects.all()
    assert (sum(note.subtotal for note in notes), sum(note.tax for note in notes)) == (D("9.00"), D("1.71"))
    assert bill.state.status == "paid"
    assert [credit_notes.left(line) for line in bill.invoice.lines.all()] == [0, 0]


def test_never_more_than_a_line_has_left(bill: Made) -> None:
    issue(bill, {1: "2.00"})
    with pytest.raises(CreditNoteRefused, match=r"line 1 has 1 USD left, not 1\.01"):
        issue(bill, {1: "1.01"}, key="k2")
    assert InvoiceSeries.objects.get(name__startswith="CN").last == 1


@pytest.mark.parametrize(
    ("amounts", "how", "reason"),
    [
        ({9: "1"}, "reduce", "has no line 9"),
        ({1: "0"}, "reduce", "is no amount"),
        ({1: "-1"}, "reduce", "is no amount"),
        ({1: "0.001"}, "reduce", "is no amount"),
        ({1: "NaN"}, "reduce", "is no amount"),
        ({}, "reduce", "at least one line"),
        ({1: "1"}, "forget", "is not one of reduce, refund, credit"),
        ({1: "1"}, "refund", r"0 USD of what was paid is there on TW-\d+-000001, not 1\.19"),
        ({1: "1"}, "credit", r"0 USD of what was settled is there"),
    ],
)
def test_what_cannot_be_taken_back_is_refused_with_the_reason(
    bill: Made, amounts: dict[int, str], how: str, reason: str
) -> None:
    with pytest.raises(CreditNoteRefused, match=reason):
        issue(bill, amounts, how)
    assert not CreditNote.objects.exists()
    assert not InvoiceSeries.objects.filter(name__startswith="CN").exclude(last=0).exists()


def test_the_same_key_gives_the_same_note(bill: Made) -> None:
    assert issue(bill, {1: "1.00"}) == issue(bill, {1: "1.00"})
    assert bill.state.credited == D("1.19")
    with pytest.raises(settling.UnknownInvoice):
        credit_notes.issue("TW-1999-000001", {1: D(1)}, reason="x", disposition="reduce", idempotency_key="k1")


def test_a_refund_gives_back_what_was_paid_and_the_invoice_stays_paid(bill: Made) -> None:
    settling.record_payment(bill.number, D("10.71"), "bank-1", actor="ada")
    with pytest.raises(CreditNoteRefused, match="0 USD is due"):
        issue(bill, {1: "1.00"})
    note = issue(bill, {1: "1.00"}, "refund")
    (refund,) = Refund.objects.all()
    assert (refund.note, refund.amount, refund.payment.reference) == (note, D("1.19"), "bank-1")
    assert (bill.state.status, bill.state.paid) == ("paid", D("10.71"))
    issue(bill, {1: "2.00", 2: "6.00"}, "refund", key="k2")
    assert sum(each.amount for each in Refund.objects.all()) == D("10.71")


def test_credit_becomes_prepaid_credit_of_the_tenant(bill: Made) -> None:
    settling.record_payment(bill.number, D("10.71"), "bank-1", actor="ada")
    issue(bill, {2: "6.00"}, "credit")
    (grant,) = CreditGrant.objects.all()
    assert (grant.tenant, grant.kind, grant.amount) == (bill.tenant.key, "carried", D("7.14"))


def test_a_void_invoice_has_nothing_to_take_back_and_a_credited_one_is_not_made_void(bill: Made) -> None:
    issue(bill, {1: "1.00"})
    with pytest.raises(VoidRefused, match="has credit notes"):
        void(bill.number, reason="mistake")


def test_the_api_lists_a_tenants_own_notes_alone(bill: Made, tenant: TenantInfo, tenant_key: str) -> None:
    issue(bill, {1: "1.00"})
    other = metering.create_tenant(f"{tenant_key}-other")
    (row,) = get("/api/v1/credit-notes", key(tenant.key)).json()["data"]
    assert (row["invoice"], row["total"], row["disposition"]) == (bill.number, "1.19", "reduce")
    assert get("/api/v1/credit-notes", key(other.key)).json()["data"] == []
    assert get("/api/v1/credit-notes", key(other.key), {"tenant": tenant.key}).status_code == 403
    assert get("/api/v1/credit-notes", key(tenant.key, "usage:read")).status_code == 403
    assert get("/api/v1/credit-notes", None).status_code == 401
    assert get("/api/v1/credit-notes", key(None), {"tenant": tenant.key}).json()["data"] == [row]
