"""The demo's agreements are made by billing's commands, without a word of refusal."""

from datetime import UTC, datetime
from io import StringIO

from django.core.management.base import OutputWrapper

from billing import contract_terms
from billing.models import CreditGrant, Customer, Seller
from metering.demo import agreements, seed


def test_everything_is_agreed_and_nothing_is_refused(db: None, clickhouse: None) -> None:
    seed.create_customers()
    said: list[str] = []
    agreements.agree(datetime.now(UTC), OutputWrapper(StringIO()), said.append)
    assert said == []
    assert Seller.objects.get().name.endswith("(demo)")
    assert set(Customer.objects.values_list("tenant", flat=True)) == set(agreements.CUSTOMERS)
    assert set(contract_terms.contracts_of(list(agreements.CONTRACTS))) == set(agreements.CONTRACTS)
    assert CreditGrant.objects.count() == 2
    agreements.agree(datetime.now(UTC), OutputWrapper(StringIO()), said.append)  # again: refused in words, not a crash
    assert len(said) == len(agreements.CONTRACTS)
