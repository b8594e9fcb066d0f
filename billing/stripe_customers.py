"""Customers at Stripe, and the payment methods that they store there. Card numbers never come near us."""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing import audit_log, stripe_gateway, stripe_outcomes, stripe_tasks
from billing import stripe_values as values
from billing.models import Customer
from billing.stripe_gateway import Gateway

ACTOR = stripe_outcomes.ACTOR


def ensure(gateway: Gateway, customer: Customer, now: datetime, *, found: bool = False) -> str:
    """Stripe's id of this customer: made there if there is none yet, and told the name and address if these have changed.

    `found`: first look whether an earlier try made one. A customer whose id was entered by hand is Stripe's to name.
    """
    fields = _fields(customer)
    if customer.stripe_customer:
        _renew(gateway, customer, fields, now)
        return customer.stripe_customer
    installation = stripe_tasks.installation()
    made = gateway.find_customer(customer.tenant, installation, customer.created_at) if found else None
    if made is None:
        made = gateway.create_customer(fields, f"{installation}/customer/{customer.tenant}/{_digest(fields)}")
    _keep(customer, made, _digest(fields), now)
    return customer.stripe_customer


def _renew(gateway: Gateway, customer: Customer, fields: dict[str, Any], now: datetime) -> None:
    row = stripe_outcomes.known(stripe_outcomes.CUSTOMER, customer.tenant)
    digest = _digest(fields)
    if row is None or row.stripe_id != customer.stripe_customer or row.status == digest:
        return
    key = f"{stripe_tasks.installation()}/customer/{customer.tenant}/{row.status}/{digest}/{now:%Y%m%dT%H}"
    gateway.update_customer(customer.stripe_customer, fields, key)
    stripe_outcomes.remember(stripe_outcomes.CUSTOMER, customer.tenant, customer.stripe_customer, digest, at=now)


def setup_page(tenant: str, *, now: datetime | None = None) -> str:
    """The address of Stripe's page where this customer stores a card. Raises Customer.DoesNotExist, StripeTrouble."""
    now = now or timezone.now()
    customer = Customer.objects.get(tenant=tenant)
    gateway = stripe_gateway.gateway()
    stripe_customer = ensure(gateway, customer, now, found=True)
    key = f"{stripe_tasks.installation()}/setup/{tenant}/{now:%Y%m%dT%H%M}"
    return gateway.setup_page(stripe_customer, f"{settings.PUBLIC_URL}/", key)


@transaction.atomic
def method_stored(stripe_customer: str, method: str, now: datetime) -> bool:
    """A payment method is there: it is used from now on, and what waited for one is tried at once. False if the customer is not ours."""
    customer = Customer.objects.select_for_update().filter(stripe_customer=stripe_customer).first()
    if customer is None or not method:
        return False
    if customer.stripe_payment_method != method:
        _change(customer, stripe_payment_method=method)
        stripe_tasks.wake(customer.tenant, now)
    return True


@transaction.atomic
def method_gone(method: str) -> bool:
    """A payment method was taken away at Stripe. False if it is nobody's here."""
    customer = Customer.objects.select_for_update().filter(stripe_payment_method=method).first()
    if customer is None:
        return False
    _change(customer, stripe_payment_method="")
    return True


@transaction.atomic
def _keep(customer: Customer, made: str, digest: str, now: datetime) -> None:
    current = Customer.objects.select_for_update().get(pk=customer.pk)
    if not current.stripe_customer:
        _change(current, stripe_customer=made)
        stripe_outcomes.remember(stripe_outcomes.CUSTOMER, current.tenant, made, digest, at=now)
    customer.stripe_customer = current.stripe_customer


def _change(customer: Customer, **fields: str) -> None:
    before = {name: getattr(customer, name) for name in fields}
    for name, value in fields.items():
        setattr(customer, name, value)
    customer.save(update_fields=[*fields, "updated_at"])
    audit_log.record(ACTOR, "change", customer, before, fields)


def _fields(customer: Customer) -> dict[str, Any]:
    address = {
        "line1": customer.address_line1,
        "line2": customer.address_line2,
        "postal_code": customer.postal_code,
        "city": customer.city,
        "state": customer.state,
        "country": customer.country,
    }
    given = {name: value for name, value in address.items() if value}
    fields: dict[str, Any] = {
        "name": customer.legal_name,
        "metadata": {values.INSTALLATION: stripe_tasks.installation(), values.TENANT: customer.tenant},
    }
    if customer.emails:
        fields["email"] = customer.emails[0]
    return fields | ({"address": given} if given else {})


def _digest(fields: dict[str, Any]) -> str:
    """Part of the key: with other fields it is another request, and Stripe refuses those under the same key."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
