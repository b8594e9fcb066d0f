"""Two people at once, and a person while invoices are finalised: no invoice is made on terms that just went out of force."""

import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing import agreements, numbers
from billing.agreements import ContractRefused
from billing.contract_terms import contract as read
from billing.models import Contract
from billing.rating.terms import Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import change, contract, utc

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own(tenant_key: str) -> TenantInfo:
    return metering.create_tenant(tenant_key)


def at_once(*acts: Callable[[], Any]) -> list[Exception]:
    """Each in a thread with a connection of its own; what they raised."""
    raised: list[Exception] = []
    gate = threading.Barrier(len(acts))

    def one(act: Callable[[], Any]) -> None:
        try:
            gate.wait(10)
            act()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return raised


def test_of_two_contracts_that_are_made_at_once_one_is_refused(own: TenantInfo) -> None:
    raised = at_once(*[lambda: contract(own.key, date(2026, 1, 1))] * 4)
    assert [type(error) for error in raised] == [ContractRefused] * 3, raised
    assert Contract.objects.filter(tenant=own.key).count() == 1


def test_changes_that_are_made_at_once_get_numbers_of_their_own(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1))
    plans = [f"P{n}" for n in range(6)]
    acts = [lambda plan=plan: change(made.number, date(2026, 2, 1), Terms(plan=plan)) for plan in plans]
    assert at_once(*acts) == []
    found = read(made.number)
    assert found is not None
    assert [each.number for each in found.revisions] == list(range(1, 8))
    assert {each.terms.plan for each in found.revisions[1:]} == set(plans)


def test_a_change_waits_until_the_invoices_that_are_being_finalised_are_there(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1))
    drafted = agreements.agreements([own], utc(2026, 3, 15))
    done = threading.Event()

    def act() -> None:
        try:
            change(made.number, date(2026, 3, 1), Terms(plan="M"))
            done.set()
        finally:
            connection.close()

    thread = threading.Thread(target=act)
    with transaction.atomic():
        numbers.locked(numbers.INVOICES, timezone.now().year)  # as a finaliser does
        thread.start()
        assert not done.wait(0.5)
        assert agreements.changed_since(drafted) == set()
    thread.join(30)
    assert done.is_set()
    assert agreements.changed_since(drafted) == {own.key}
