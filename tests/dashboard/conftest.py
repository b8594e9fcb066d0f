"""People who log in, and one customer with an invoice."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.public import close_period, month, set_price
from metering.contracts import TenantInfo
from metering.models import IngestHost, Membership, Tenant
from metering.public import create_tenant
from tests.metering.rows import NOON, insert_requests

LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None) -> LogIn:
    """`log_in(role)` or `log_in("customer", tenant_key)`: a client with a session of a new user of this role; role "" has none."""

    def client_of(role: str, tenant: str | None = None) -> Client:
        user = User.objects.create_user(f"u-{uuid.uuid4().hex[:12]}", password=None)
        if role:
            row = Tenant.objects.get(key=tenant) if tenant else None
            Membership.objects.create(user=user, role=role, tenant=row)
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture
def tenant(tenant_key: str, clickhouse: None, db: None) -> TenantInfo:
    return create_tenant(tenant_key, "Acme <Search>")


@pytest.fixture
def other(clickhouse: None, db: None) -> TenantInfo:
    return create_tenant(f"o-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def prices(db: None) -> None:
    """1 USD for a million tokens of input, 3 USD for output, of any model."""
    for kind, per_million in (("input", "1"), ("output", "3")):
        set_price(model="*", kind=kind, per_million=Decimal(per_million), currency="USD")


@pytest.fixture
def invoiced(tenant: TenantInfo, prices: None) -> str:
    """The number of the tenant's invoice for January 2026: 1,234,567 tokens in, 10 out, and one failed request."""
    insert_requests(
        tenant.key,
        {"id": "1", "time": NOON, "input_tokens": 1_234_567, "output_tokens": 10},
        {"id": "2", "time": NOON, "input_tokens": 70, "output_tokens": 0, "status": "error"},
    )
    until = datetime.now(UTC) + timedelta(hours=1)
    IngestHost.objects.create(name="host-1", settled_before=until, published_at=datetime.now(UTC))
    closed = close_period(month("2026-01"), [tenant], wait_s=10)
    assert closed[0].number, closed
    return closed[0].number
