"""The commercial side of tenants, and the seller: reading them for many tenants, and changing them on the record."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pycountry
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Model
from stdnum import bic, iban

from billing import audit_log
from billing.contract_terms import NAMED_AT_MOST
from billing.models import Customer, Seller
from metering import public as metering
from metering.contracts import TenantInfo

_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_OTHER_NAMES = {"UK": "GB", "EL": "GR", "EN": "GB"}


class CustomerRefused(ValueError):
    """A customer or seller that cannot be saved. `problems`: what is wrong, by field."""

    def __init__(self, problems: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in problems.items()))
        self.problems = problems


@dataclass(frozen=True)
class CustomerInfo:
    """As `billing.models.Customer` has it. `known` False: metering's tenant alone, billed by its name, without tax, paid by hand."""

    tenant: str
    legal_name: str
    address_line1: str = ""
    address_line2: str = ""
    postal_code: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    tax_id: str = ""
    tax_exempt: str = ""
    emails: tuple[str, ...] = ()
    buyer_reference: str = ""
    payment_terms_days: int = 30
    grace_hours: int = 24
    collection: str = Customer.Collection.MANUAL.value
    stripe_customer: str = ""
    stripe_payment_method: str = ""
    known: bool = True


CUSTOMER_COLUMNS = tuple(each.name for each in fields(CustomerInfo) if each.name != "known")
SELLER_COLUMNS = tuple(each.attname for each in Seller._meta.concrete_fields if not each.primary_key)


def customers_of(tenants: Collection[TenantInfo]) -> dict[str, CustomerInfo]:
    """One for each of `tenants`, by its key. One query."""
    rows = Customer.objects.all()
    if len(tenants) <= NAMED_AT_MOST:
        rows = rows.filter(tenant__in=[tenant.key for tenant in tenants])
    found = {row[0]: _info(row) for row in rows.values_list(*CUSTOMER_COLUMNS)}
    return {tenant.key: found.get(tenant.key) or _unknown(tenant) for tenant in tenants}


def customer_of(tenant: TenantInfo) -> CustomerInfo:
    return customers_of([tenant])[tenant.key]


def customers_after(key: str, tenant: str | None, limit: int | None) -> list[CustomerInfo]:
    """Those that are known, in the order of their tenants' keys, after `key` ('': from the first), one tenant's or (None) everybody's."""
    rows = Customer.objects.filter(tenant__gt=key).order_by("tenant")
    some = rows.filter(tenant=tenant) if tenant is not None else rows
    return [_info(row) for row in some.values_list(*CUSTOMER_COLUMNS)[:limit]]


def seller() -> Seller | None:
    """None until one is set: invoices then name nobody, and no tax is charged."""
    return Seller.objects.order_by("pk").first()


@transaction.atomic
def save_customer(tenant: str, *, actor: str, address: str | None = None, **values: Any) -> Customer:
    """Set the named columns of a tenant's customer, which is made if there is none. `emails` may be any list of texts.

    Raises CustomerRefused, naming each field and why. An invoice that is final keeps its copy of what was true then.
    """
    _refuse_unknown(values, CUSTOMER_COLUMNS[1:])
    info = metering.tenant(tenant)
    if info is None:
        raise CustomerRefused({"tenant": [f"there is no tenant {tenant!r}"]})
    row = Customer.objects.select_for_update().filter(tenant=tenant).first()
    before = audit_log.snapshot(row) if row else None
    row = row or Customer(tenant=tenant, legal_name=info.name)
    _set(row, values)
    _save(row, _customer_problems(row))
    audit_log.record(actor, "change" if before else "add", row, before, audit_log.snapshot(row), address=address)
    return row


@transaction.atomic
def save_seller(*, actor: str, address: str | None = None, **values: Any) -> Seller:
    """Set the named columns of the seller. Raises CustomerRefused."""
    _refuse_unknown(values, SELLER_COLUMNS)
    row = Seller.objects.select_for_update().order_by("pk").first()
    before = audit_log.snapshot(row) if row else None
    row = row or Seller()
    _set(row, values)
    _save(row, _seller_problems(row))
    audit_log.record(actor, "change" if before else "add", row, before, audit_log.snapshot(row), address=address)
    return row


def country_problem(text: str) -> str | None:
    """Why a word is no country's code."""
    if text in _OTHER_NAMES:
        return f"ISO 3166-1 writes {_OTHER_NAMES[text]}, not {text}"
    known = _COUNTRY.match(text) and pycountry.countries.get(alpha_2=text)
    return None if known else f"{text!r} is not a code of ISO 3166-1 such as DE"


def _info(row: Sequence[Any]) -> CustomerInfo:
    values = dict(zip(CUSTOMER_COLUMNS, row, strict=True))
    return CustomerInfo(**values | {"emails": tuple(values["emails"])})


def _unknown(tenant: TenantInfo) -> CustomerInfo:
    return CustomerInfo(tenant.key, tenant.name, known=False)


def _refuse_unknown(values: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in values if name not in known]:
        raise CustomerRefused({name: ["there is no such field"] for name in unknown})


def _set(row: Model, values: dict[str, Any]) -> None:
    """Texts without what a form leaves around them; codes of countries, banks and taxes in capitals and without spaces."""
    for name, value in values.items():
        text = value.strip() if isinstance(value, str) else value
        if name == "country":
            text = text.upper()
        if name in {"iban", "bic", "tax_id"}:
            text = "".join(text.split()).upper()
        setattr(row, name, list(value) if name == "emails" else text)


def _save(row: Model, problems: dict[str, list[str]]) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        problems = error.message_dict | problems
    if problems:
        raise CustomerRefused(problems)
    row.save()


def _customer_problems(row: Customer) -> dict[str, list[str]]:
    found = {}
    if row.country and (problem := country_problem(row.country)):
        found["country"] = [problem]
    if bad := [text for text in row.emails if not _is_email(text)]:
        found["emails"] = [f"{text!r} is not an address" for text in bad]
    return found


def _seller_problems(row: Seller) -> dict[str, list[str]]:
    found = {}
    if problem := country_problem(row.country):
        found["country"] = [problem]
    if row.iban and not iban.is_valid(row.iban):
        found["iban"] = [f"{row.iban!r} is not an IBAN: its form or its check digits do not fit"]
    if row.bic and not bic.is_valid(row.bic):
        found["bic"] = [f"{row.bic!r} is not a BIC"]
    return found


def _is_email(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
