"""Fixtures of billing's tests: a tenant with usage in the ledger, and prices."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import pricebook
from billing.closing import Closed, close_period
from billing.periods import month
from metering import public as metering
from metering.contracts import TenantInfo
from metering.models import IngestHost
from tests.billing.energy import settle
from tests.metering.rows import empty_tables, insert_requests

# A month that has ended, whatever the clock says.
MONTH = month("2026-01")
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

Use = Callable[..., None]


@pytest.fixture
def clickhouse(ledger: None) -> None:
    """Money comes from requests and from the ledger, never from a live roll-up: a test here that finds any would find a mistake."""


@pytest.fixture
def tenant(tenant_key: str, clickhouse: None, db: None) -> TenantInfo:
    return metering.create_tenant(tenant_key)


@pytest.fixture
def use(clickhouse: None) -> Use:
    """`use(tenant, {...}, ...)`: events of model m, 100 tokens in and 10 out, that arrived at NOON."""
    usual = {
        "time": NOON,
        "ingested_at": NOON,
        "project": "",
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
    }

    def insert(tenant: str, *rows: dict[str, Any]) -> None:
        insert_requests(tenant, *({"id": str(n)} | usual | row for n, row in enumerate(rows)))

    return insert


@pytest.fixture
def settled(db: None) -> datetime:
    """A host that has inserted everything it will ever accept, so that a seal covers what the test put in."""
    until = datetime.now(UTC) + timedelta(hours=1)
    IngestHost.objects.create(name="host-1", settled_before=until, published_at=datetime.now(UTC))
    return until


@pytest.fixture
def prices(db: None) -> None:
    """Model m: 0.15 and 0.60 USD for a million tokens of input and output, cached input at 0.075."""
    for kind, per_million in (("input", "0.15"), ("cached_input", "0.075"), ("output", "0.60")):
        pricebook.set_price(model="m", kind=kind, per_million=Decimal(per_million), currency="USD")


@pytest.fixture
def only_own_rows(clickhouse: None, db: None) -> None:
    """No usage and no energy but the test's own, and all energy of MONTH is settled: for answers about everybody."""
    empty_tables("requests", "usage_ledger", "energy_hours", "energy_attributed_hours")
    settle(MONTH.end)


def close(*tenants: TenantInfo) -> list[Closed]:
    return close_period(MONTH, tenants, wait_s=5)
