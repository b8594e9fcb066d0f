"""Giving credit, and what is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing import credits, rating
from billing.credits import CreditRefused
from billing.models import AuditEntry, CreditEntry, CreditGrant, CreditTransaction, Unchangeable
from metering import public as metering
from tests.billing.credit import bought, given, left, tenant

pytestmark = pytest.mark.django_db
D = Decimal


def test_a_grant_holds_its_amount_against_where_it_comes_from() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "20.50")
    assert left(launch, prepaid) == [D("30"), D("20.50")]
    entries = CreditEntry.objects.filter(transaction__tenant=owner.key).order_by("pk").values_list("account", "amount")
    assert list(entries) == [
        (f"credit:{launch.pk}", D("30")),
        ("promotion", D("-30")),
        (f"credit:{prepaid.pk}", D("20.5")),
        ("cash", D("-20.5")),
    ]


def test_without_a_date_promotional_credit_begins_now_and_paid_credit_with_time() -> None:
    owner = tenant()
    before = timezone.now() - timedelta(minutes=15)
    launch = given(owner, "30", effective_from=None)
    assert before < launch.effective_from <= timezone.now()
    assert launch.effective_from.minute % 15 == launch.effective_from.second == launch.effective_from.microsecond == 0
    assert bought(owner, "30", effective_from=None).effective_from == rating.BEGINNING


def test_the_audit_log_says_who_gave_what() -> None:
    owner = tenant()
    launch = given(owner, "30")
    entry = AuditEntry.objects.get(object_type="creditgrant", object_id=str(launch.pk))
    assert (entry.actor, entry.action, entry.before) == ("ada", "grant", None)
    assert entry.after is not None
    assert (entry.after["amount"], entry.after["name"]) == ("30 USD", "Launch credit")


def test_the_same_source_gives_the_same_grant_once() -> None:
    owner = tenant()
    first, again = given(owner, "30", source="deal-7"), given(owner, "30", source="deal-7")
    assert first.pk == again.pk
    assert CreditTransaction.objects.filter(tenant=owner.key).count() == 1
    with pytest.raises(CreditRefused, match="deal-7"):
        given(owner, "31", source="deal-7")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount": "0"}, "must be above 0"),
        ({"amount": "-5"}, "must be above 0"),
        ({"amount": "NaN"}, "must be above 0"),
        ({"amount": "Infinity"}, "must be above 0"),
        ({"amount": "1e15"}, "below"),
        ({"amount": "0.001"}, "more digits than USD"),
        ({"name": "  "}, "needs a name"),
        ({"name": "n" * 201}, "needs a name"),
        ({"priority": -1}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"currency": "EUR"}, "billed in USD"),
        ({"effective_from": datetime(2026, 1, 1, 0, 7, tzinfo=UTC)}, "quarter of an hour"),
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, "before it could be used"),
        ({"expires_at": datetime(2999, 1, 1, 0, 0, 1, tzinfo=UTC)}, "quarter of an hour"),
        ({"kind": CreditGrant.Kind.PAID, "models_covered": ["m"]}, "only promotional"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    owner = tenant()
    with pytest.raises(CreditRefused, match=why):
        given(owner, **{"amount": "30", **change})
    assert not CreditGrant.objects.filter(tenant=owner.key).exists()


def test_a_tenant_that_is_not_there_gets_nothing() -> None:
    with pytest.raises(CreditRefused, match="no tenant 'nobody'"):
        credits.grant(tenant="nobody", amount=D("5"), kind=CreditGrant.Kind.PAID, name="Prepaid", actor="ada")


def test_yen_have_no_digits_after_the_point() -> None:
    owner = metering.create_tenant("in-yen", currency="JPY")
    assert given(owner, "500").currency == "JPY"
    with pytest.raises(CreditRefused, match="more digits than JPY"):
        given(owner, "500.5")


def test_the_ledger_is_never_changed_by_the_models() -> None:
    launch = given(tenant(), "30")
    entry = launch.entries.get()
    for row in (launch, entry, entry.transaction):
        with pytest.raises(Unchangeable):
            row.save()
        with pytest.raises(Unchangeable):
            row.delete()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_creditgrant SET amount = amount + 1",
        "DELETE FROM billing_creditgrant",
        "UPDATE billing_credittransaction SET note = 'x'",
        "DELETE FROM billing_credittransaction",
        "UPDATE billing_creditentry SET amount = 0",
        "DELETE FROM billing_creditentry",
    ],
)
def test_the_database_itself_refuses_to_change_the_ledger(statement: str) -> None:
    given(tenant(), "30")
    with pytest.raises(IntegrityError, match="never changed"), connection.cursor() as cursor:
        cursor.execute(statement)


@transaction.atomic
def unbalanced(launch: CreditGrant) -> None:
    row = CreditTransaction.objects.create(type="apply", tenant=launch.tenant, currency="USD", reference="broken")
    CreditEntry.objects.create(transaction=row, account=f"credit:{launch.pk}", grant=launch, amount=D("-5"))
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at a commit


def test_the_database_refuses_a_transaction_that_does_not_balance() -> None:
    launch = given(tenant(), "30")
    with pytest.raises(IntegrityError, match="not to zero"):
        unbalanced(launch)
    assert left(launch) == [D("30")]
