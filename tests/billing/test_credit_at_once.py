"""Two takers at once never spend a cent twice."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing import credits
from billing.credits import CreditRefused
from billing.models import CreditGrant, CreditTransaction
from tests.billing.credit import MIDDLE, applied, bought, charges, expiring, given, left, line, tenant

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
TAKERS = 4


def together(*work: Callable[[], object]) -> list[object]:
    """Run each on a connection of its own, all starting at once; their results."""
    start = threading.Barrier(len(work))

    def one(job: Callable[[], object]) -> object:
        try:
            start.wait(10)
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result(30) for future in [pool.submit(one, job) for job in work]]


def finalising(*owners: object) -> Callable[[], Decimal]:
    """A batch that finalises an invoice of 60 for each tenant; what credit paid of it."""
    batch = [charges(owner, line("60")) for owner in owners]  # type: ignore[arg-type]

    def work() -> Decimal:
        with transaction.atomic():
            found = credits.apply_to_drafts(batch)
            connection.cursor().execute("SELECT pg_sleep(0.05)")  # so that the others meet the lock
        covered = sum((-(credit.amount or 0) for one in found.values() for credit in one.lines), Decimal(0))
        return covered + sum((one.credits_applied for one in found.values()), Decimal(0))

    return work


def test_finalisers_at_once_share_what_there_is() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "70"), bought(owner, "70")
    spent = together(*(finalising(owner) for _ in range(TAKERS)))
    assert sum(spent) == D("140")  # type: ignore[arg-type]
    assert left(launch, prepaid) == [0, 0]
    assert {one.problem.split(" ", 2)[2] for one in credits.check_balanced()} <= {
        "and does not exist"
    }  # none was stored


def test_batches_over_the_same_tenants_in_any_order_wait_and_do_not_lock_each_other_out() -> None:
    owners = [tenant() for _ in range(5)]
    grants = [give(owner, "100") for owner in owners for give in (given, bought)]
    spent = together(*(finalising(*order) for order in (owners, owners[::-1], owners[2:] + owners[:2])))
    assert sum(spent) == D("900")  # type: ignore[arg-type]
    assert sum(left(*grants)) == D("100")


def test_a_refund_beside_finalisers_takes_only_what_they_leave() -> None:
    owner = tenant()
    prepaid = bought(owner, "100")

    def refund() -> Decimal:
        with suppress(CreditRefused):
            return credits.refund_grant(prepaid.pk, D("50"), "asked for", "ada")
        return D(0)

    out = together(refund, finalising(owner), refund, finalising(owner), refund)
    assert sum(out) + left(prepaid)[0] == D("100")  # type: ignore[arg-type]
    assert left(prepaid)[0] >= 0


def test_one_of_two_expiries_at_once_moves_what_is_left() -> None:
    owner = tenant()
    grant = expiring(owner, MIDDLE)
    late = MIDDLE.replace(year=2028)
    assert sorted(together(*(lambda: credits.expire_due(late) for _ in range(TAKERS)))) == [0, 0, 0, 1]  # type: ignore[type-var]
    assert left(grant) == [0]
    assert CreditTransaction.objects.filter(type="expire").count() == 1


def test_the_same_source_at_once_makes_one_grant() -> None:
    owner = tenant()
    made = together(*(lambda: given(owner, "30", source="deal-8").pk for _ in range(TAKERS)))
    assert len(set(made)) == 1
    assert left(CreditGrant.objects.get(source="deal-8")) == [D("30")]


def test_applying_one_invoice_at_once_from_two_processes_spends_once() -> None:
    owner = tenant()
    launch = given(owner, "30")
    one = charges(owner, line("20"))

    def work() -> str:
        try:
            with transaction.atomic():
                applied(one)
        except Exception as error:
            return type(error).__name__
        return "done"

    assert sorted(map(str, together(work, work))) == ["IntegrityError", "done"]
    assert left(launch) == [D("10")]
