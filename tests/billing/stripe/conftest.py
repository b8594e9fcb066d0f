"""Fixtures of Stripe's tests: the stand-in, and the settings that point at it."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from billing import stripe_gateway
from tests.billing.stripe.desk import WEBHOOK_SECRET, Desk
from tests.billing.stripe.standin import StandIn


@pytest.fixture
def standin(settings: Settings) -> Iterator[StandIn]:
    """A fresh account. What is asked for goes there."""
    server = StandIn()
    settings.STRIPE_SECRET_KEY = StandIn.KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_API_BASE = server.url
    settings.STRIPE_RETRY_DAYS = (1, 3)
    settings.EMAIL_FROM = "billing@example.com"
    yield server
    stripe_gateway.close()
    server.stop()


@pytest.fixture
def desk(standin: StandIn, db: None, tenant_key: str) -> Desk:
    """A customer who pays through Stripe, invoices of theirs, and the worker, with a clock of its own."""
    return Desk(standin, tenant_key)
