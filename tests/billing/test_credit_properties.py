"""Whatever is done to credit, in whatever order: the books balance and nothing falls below zero."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import chain

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import credit_ledger as ledger
from billing import credits
from billing.credits import CreditRefused
from billing.models import CreditEntry, CreditGrant, Invoice, InvoiceState
from metering.contracts import TenantInfo
from tests.billing import credit
from tests.billing.credit import END, MIDDLE, START, Type, applied, charges, line, stored, tenant

pytestmark = pytest.mark.django_db
CENTS = st.integers(1, 20_000).map(lambda cents: Decimal(cents) / 100)
LATE = MIDDLE + timedelta(days=400)
PRIORITY = st.sampled_from([0, 50, 90])
USAGE = st.lists(st.tuples(CENTS, st.sampled_from(["m", "n"])), max_size=3)
WHICH = st.integers(0, 9)
GIVES = st.one_of(
    st.tuples(st.sampled_from(["promotional", "paid"]), CENTS, PRIORITY),
    st.tuples(st.just("expiring"), CENTS, st.sampled_from(["promotional", "paid"])),
)
TAKES = st.one_of(
    st.tuples(st.just("invoice"), USAGE, CENTS),
    st.tuples(st.just("negative"), CENTS, st.none()),
    st.tuples(st.just("void"), WHICH, st.none()),
    st.tuples(st.just("refund"), WHICH, CENTS),
    st.tuples(st.just("revoke"), WHICH, st.none()),
    st.tuples(st.just("expire"), st.none(), st.none()),
)
STEPS = st.tuples(st.lists(GIVES, min_size=1, max_size=3), st.lists(st.one_of(TAKES, TAKES, GIVES), max_size=9))


class Bench:
    """One tenant, and what the steps do to it. What is refused leaves nothing behind."""

    def __init__(self) -> None:
        self.owner: TenantInfo = tenant()
        self.made = 0

    def do(self, step: str, what: object, how: object) -> None:
        work: Callable[..., object] = getattr(self, step)
        try:
            with transaction.atomic():
                work(what, how)
        except CreditRefused:
            pass

    def promotional(self, amount: Decimal, priority: int) -> None:
        credit.given(self.owner, str(amount), priority=priority, models_covered=["m"] if priority == 90 else [])

    def paid(self, amount: Decimal, priority: int) -> None:
        credit.bought(self.owner, str(amount), priority=priority)

    def expiring(self, amount: Decimal, kind: str) -> None:
        credit.expiring(self.owner, MIDDLE, kind=kind, amount=str(amount))

    def invoice(self, usage: list[tuple[Decimal, str]], fee: Decimal) -> None:
        lines = [line(str(amount), model=model, tax_rate=Decimal("0.19")) for amount, model in usage]
        self._store(*lines, line(str(fee), Type.FLAT_FEE, tax_rate=Decimal("0.19")))

    def negative(self, amount: Decimal, _: None) -> None:
        self._store(line(f"-{amount}", Type.ADJUSTMENT))

    def _store(self, *lines: object) -> None:
        month = timedelta(days=31) * self.made
        self.made += 1
        one = charges(self.owner, *lines, period_start=START + month, period_end=END + month)  # type: ignore[arg-type]
        found = applied(one)
        invoice = stored(one, found)
        assert invoice.amount_due >= 0
        assert invoice.subtotal >= 0 or invoice.credits_applied < 0

    def void(self, which: int, _: None) -> None:
        states = InvoiceState.objects.filter(invoice__tenant=self.owner.key).exclude(status="void").order_by("pk")
        if states:
            state = states[which % len(states)]
            credits.release(state.invoice, "ada")
            InvoiceState.objects.filter(pk=state.pk).update(status="void")

    def refund(self, which: int, amount: Decimal) -> None:
        self._grant(which, lambda grant: credits.refund_grant(grant.pk, amount, "asked for", "ada"))

    def revoke(self, which: int, _: None) -> None:
        self._grant(which, lambda grant: credits.revoke(grant.pk, "a mistake", "ada"))

    def _grant(self, which: int, work: Callable[[CreditGrant], object]) -> None:
        grants = CreditGrant.objects.filter(tenant=self.owner.key).order_by("pk")
        work(grants[which % len(grants)])

    def expire(self, _: None, __: None) -> None:
        credits.expire_due(LATE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_of_grants_uses_expiries_releases_and_refunds_balances(
    steps: tuple[list[tuple[str, object, object]], ...], db: None
) -> None:
    with transaction.atomic():
        bench = Bench()
        for step in chain(*steps):
            bench.do(*step)
            grants = CreditGrant.objects.filter(tenant=bench.owner.key)
            left = ledger.left_of([grant.pk for grant in grants])
            assert all(0 <= left[grant.pk] <= grant.amount for grant in grants)
        assert (
            sum(CreditEntry.objects.filter(transaction__tenant=bench.owner.key).values_list("amount", flat=True)) == 0
        )
        assert credits.check_balanced() == []
        connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
        for invoice in Invoice.objects.filter(tenant=bench.owner.key):
            assert invoice.total == invoice.credits_applied + invoice.amount_due
        transaction.set_rollback(True)
