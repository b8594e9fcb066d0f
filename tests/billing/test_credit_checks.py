"""Whatever in the books of credit does not add up is found and named."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction

from billing import credits
from billing.models import CreditEntry, CreditGrant, CreditTransaction, InvoiceState
from tests.billing.credit import END, START, Type, applied, bought, charges, given, left, line, stored, tenant

pytestmark = pytest.mark.django_db
D = Decimal
MONTH = timedelta(days=31)


@pytest.fixture
def unguarded(db: None) -> None:
    """The ledger without its triggers, as a superuser could leave it."""
    with connection.cursor() as cursor:
        for table in ("creditgrant", "credittransaction", "creditentry", "invoice", "invoiceline"):
            cursor.execute(f"ALTER TABLE billing_{table} DISABLE TRIGGER USER")


def found() -> list[tuple[str, str]]:
    return [(one.about, one.problem) for one in credits.check_balanced()]


def run(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_books_in_which_everything_happened_balance() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "50")
    months = [{"period_start": START + n * MONTH, "period_end": END + n * MONTH} for n in range(3)]
    due = [charges(owner, line(amount), **month) for amount, month in zip(("10", "45", "-7"), months, strict=True)]
    invoices = [stored(each, applied(each)) for each in due]
    credits.refund_grant(prepaid.pk, D("5"), "asked for", "ada")
    credits.release(invoices[0], "ada")
    InvoiceState.objects.filter(invoice=invoices[0]).update(status="void")
    credits.revoke(launch.pk, "over", "ada")
    assert found() == []


@pytest.mark.usefixtures("unguarded")
def test_an_entry_that_was_changed_unbalances_its_transaction_and_its_grant() -> None:
    launch = given(tenant(), "30")
    run("UPDATE billing_creditentry SET amount = 29 WHERE grant_id = %s", launch.pk)
    reference = CreditTransaction.objects.get().reference
    assert found() == [
        (f"transaction {reference}", "sums to -1, not to zero"),
        (f"grant {launch.pk}", "was filled with 29, its amount is 30"),
    ]


@pytest.mark.usefixtures("unguarded")
def test_a_grant_below_zero_is_found() -> None:
    owner = tenant()
    launch = given(owner, "30")
    row = CreditTransaction.objects.create(type="expire", tenant=owner.key, currency="USD", reference="too much")
    CreditEntry.objects.create(transaction=row, account=f"credit:{launch.pk}", grant=launch, amount=D("-31"))
    CreditEntry.objects.create(transaction=row, account="expired", amount=D("31"))
    assert found() == [(f"grant {launch.pk}", "holds -1 of 30")]


@pytest.mark.usefixtures("unguarded")
def test_a_grant_that_was_never_filled_is_found() -> None:
    launch = given(tenant(), "30")
    run("DELETE FROM billing_creditentry")
    reference = CreditTransaction.objects.get().reference
    assert found() == [
        (f"transaction {reference}", "has no entries"),
        (f"grant {launch.pk}", "was filled with 0, its amount is 30"),
    ]


@pytest.mark.usefixtures("unguarded")
def test_somebody_elses_credit_in_a_transaction_is_found() -> None:
    owner, other = tenant(), tenant()
    launch = given(owner, "30")
    one = charges(owner, line("10"))
    stored(one, applied(one))
    run("UPDATE billing_credittransaction SET tenant = %s WHERE type = 'apply'", other.key)
    assert found() == [
        (
            f"transaction promotional:{one.number}",
            f"of {other.key} in USD touches grant {launch.pk} of {owner.key} in USD",
        )
    ]


@pytest.mark.usefixtures("unguarded")
def test_an_entry_on_the_wrong_account_and_one_of_the_wrong_sign_are_found() -> None:
    owner = tenant()
    launch = given(owner, "30")
    entry = CreditEntry.objects.get(grant=launch)
    run("UPDATE billing_creditentry SET account = 'cash' WHERE id = %s", entry.pk)
    run("UPDATE billing_credittransaction SET type = 'apply'")
    reference = CreditTransaction.objects.get().reference
    assert found() == [
        (f"transaction {reference}", "a apply of 30"),
        (f"entry {entry.pk}", f"stands on cash and belongs to grant {launch.pk}"),
        (f"grant {launch.pk}", "was filled with 0, its amount is 30"),
    ]


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE billing_invoice SET credits_applied = 0, amount_due = total",
            "credit applied: 0 by the invoice, 50 by the ledger",
        ),
        (
            "DELETE FROM billing_invoiceline WHERE type = 'credit'",
            "credit lines: 0 by the invoice, 30 by the ledger",
        ),
        ("UPDATE billing_invoicestate SET status = 'void'", "credit kept: 0 by the invoice, 80 by the ledger"),
    ],
)
def test_an_invoice_that_says_something_else_than_the_ledger_is_found(statement: str, problem: str) -> None:
    owner = tenant()
    given(owner, "30"), bought(owner, "50")
    one = charges(owner, line("100"), line("1", Type.FLAT_FEE))
    stored(one, applied(one))
    assert found() == []
    run(statement)
    assert found() == [(f"invoice {one.number}", problem)]


@transaction.atomic
def overdrawn(launch: CreditGrant) -> None:
    row = CreditTransaction.objects.create(type="expire", tenant=launch.tenant, currency="USD", reference="too much")
    CreditEntry.objects.create(transaction=row, account=f"credit:{launch.pk}", grant=launch, amount=D("-31"))
    CreditEntry.objects.create(transaction=row, account="expired", amount=D("31"))
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at a commit


def test_the_database_itself_refuses_to_take_more_than_there_is() -> None:
    launch = given(tenant(), "30")
    with pytest.raises(IntegrityError, match="less than nothing"):
        overdrawn(launch)
    assert left(launch) == [D("30")]


@pytest.mark.usefixtures("unguarded")
def test_the_command_lists_differences_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_credits")
    assert capsys.readouterr().out == "balanced\n"
    launch = given(tenant(), "30")
    run("UPDATE billing_creditentry SET amount = 29 WHERE grant_id = %s", launch.pk)
    with pytest.raises(CommandError, match="2 differences"):
        call_command("check_credits")
    assert f"grant {launch.pk}: was filled with 29, its amount is 30" in capsys.readouterr().err
