"""Credit that goes back: released from void invoices, expired, revoked, refunded."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from billing import credits
from billing.credits import CreditRefused
from billing.models import AuditEntry, CreditGrant, CreditTransaction, InvoiceState
from metering.contracts import TenantInfo
from tests.billing.credit import END, MIDDLE, START, Type, applied, bought, charges, given, left, line, stored, tenant
from tests.billing.credit import expiring as expiring_at

pytestmark = pytest.mark.django_db
D = Decimal


def expired(owner: TenantInfo, amount: str = "80") -> CreditGrant:
    return expiring_at(owner, MIDDLE, amount=amount)


def test_a_void_invoice_gives_back_what_it_used() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "50")
    one = charges(owner, line("100"))
    invoice = stored(one, applied(one))
    credits.release(invoice, "ada")
    assert left(launch, prepaid) == [D("30"), D("50")]
    assert CreditTransaction.objects.get(type="release").created_by == "ada"


def test_an_invoice_that_used_no_credit_releases_none() -> None:
    owner = tenant()
    one = charges(owner, line("100"))
    credits.release(stored(one, applied(one)), "ada")
    assert not CreditTransaction.objects.filter(tenant=owner.key).exists()


def test_a_void_invoice_takes_back_what_it_carried_over() -> None:
    owner = tenant()
    one = charges(owner, line("-35", Type.ADJUSTMENT))
    invoice = stored(one, applied(one))
    carried = CreditGrant.objects.get(tenant=owner.key)
    assert left(carried) == [D("35")]
    credits.release(invoice, "ada")
    assert left(carried) == [0]


def test_an_invoice_whose_carried_credit_is_spent_cannot_be_void() -> None:
    owner = tenant()
    one = charges(owner, line("-35", Type.ADJUSTMENT))
    invoice = stored(one, applied(one))
    applied(charges(owner, line("20"), period_start=END, period_end=END + timedelta(days=30)))
    with pytest.raises(CreditRefused, match=r"of the 35.00 USD that it carried over, 20.00 USD are spent"):
        credits.release(invoice, "ada")


def test_what_an_expired_grant_still_holds_expires_once() -> None:
    owner = tenant()
    grant = expired(owner)
    late = MIDDLE + timedelta(days=400)
    assert (credits.expire_due(late), left(grant)) == (1, [0])
    assert credits.expire_due(late) == 0
    (row,) = CreditTransaction.objects.filter(type="expire")
    assert (row.created_by, row.reference) == ("schedule", f"expire:{grant.pk}:1")


def test_credit_given_back_to_an_expired_grant_expires_again() -> None:
    owner = tenant()
    grant = expired(owner)
    one = charges(owner, line("50", end=MIDDLE))
    invoice = stored(one, applied(one))
    late = MIDDLE + timedelta(days=400)
    credits.expire_due(late)
    credits.release(invoice, "ada")
    assert left(grant) == [D("50")]
    assert (credits.expire_due(late), left(grant)) == (1, [0])


def test_an_expired_grant_waits_for_the_invoice_of_its_last_period() -> None:
    owner = tenant()
    grant = expired(owner)
    soon = MIDDLE + timedelta(days=1)
    assert (credits.expire_due(soon), left(grant)) == (0, [D("80")])
    one = charges(owner, line("10", end=MIDDLE))
    stored(one, applied(one))
    assert (credits.expire_due(soon), left(grant)) == (1, [0])


def test_an_invoice_of_an_earlier_period_or_a_void_one_is_not_waited_for_in_vain(settings: Settings) -> None:
    owner = tenant()
    grant = expired(owner)
    soon = MIDDLE + timedelta(days=1)
    before = charges(owner, line("1"), period_start=START - timedelta(days=30), period_end=START)
    stored(before, applied(before))
    one = charges(owner, line("1", end=MIDDLE))
    invoice = stored(one, applied(one))
    InvoiceState.objects.filter(invoice=invoice).update(status="void")
    assert credits.expire_due(soon) == 0
    settings.CREDIT_EXPIRY_WAIT_DAYS = 1
    assert credits.expire_due(soon) == 1
    assert left(grant) == [0]


def test_what_has_not_expired_stays() -> None:
    owner = tenant()
    launch = given(owner, "30", expires_at=tomorrow())
    assert credits.expire_due(timezone.now()) == 0
    assert left(launch) == [D("30")]


def tomorrow() -> datetime:
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def test_promotional_credit_is_revoked_whole() -> None:
    owner = tenant()
    launch = given(owner, "30")
    applied(charges(owner, line("10")))
    assert credits.revoke(launch.pk, "given by mistake", "ada") == D("20")
    assert left(launch) == [0]
    entry = AuditEntry.objects.get(action="revoke")
    assert (entry.before, entry.after) == ({"left": "20"}, {"left": "0", "reason": "given by mistake"})
    with pytest.raises(CreditRefused, match=r"0.00 USD are left"):
        credits.revoke(launch.pk, "again", "ada")


def test_paid_credit_is_refunded_up_to_what_is_left() -> None:
    owner = tenant()
    prepaid = bought(owner, "50")
    applied(charges(owner, line("10")))
    assert credits.refund_grant(prepaid.pk, D("15"), "asked for", "ada") == D("15")
    assert left(prepaid) == [D("25")]
    with pytest.raises(CreditRefused, match=r"25.01 USD cannot be taken .* 25.00 USD are left"):
        credits.refund_grant(prepaid.pk, D("25.01"), "asked for", "ada")
    assert credits.refund_grant(prepaid.pk, None, "asked for", "ada") == D("25")
    assert left(prepaid) == [0]


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity"])
def test_a_refund_of_no_amount_is_refused(amount: str) -> None:
    prepaid = bought(tenant(), "50")
    with pytest.raises(CreditRefused):
        credits.refund_grant(prepaid.pk, D(amount), "asked for", "ada")
    assert left(prepaid) == [D("50")]


def test_what_was_paid_is_not_revoked_and_what_was_given_is_not_refunded() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "50")
    with pytest.raises(CreditRefused, match="refunded, not revoked"):
        credits.revoke(prepaid.pk, "why", "ada")
    with pytest.raises(CreditRefused, match="revoked, not refunded"):
        credits.refund_grant(launch.pk, None, "why", "ada")


def test_a_reason_is_needed_and_a_grant() -> None:
    launch = given(tenant(), "30")
    with pytest.raises(CreditRefused, match="say why"):
        credits.revoke(launch.pk, " ", "ada")
    with pytest.raises(CreditRefused, match="no grant"):
        credits.revoke(0, "why", "ada")
