"""Customers and the seller, and the tax between them."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing import agreements
from billing.customers import CustomerInfo, CustomerRefused, customer_of, save_customer, save_seller, seller
from billing.models import AuditEntry, Customer, TaxRate
from billing.rating.terms import TaxTreatment
from billing.tax_rates import TaxRateRefused, set_tax_rate
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import contract, utc

pytestmark = pytest.mark.django_db


@pytest.fixture
def own(tenant_key: str) -> TenantInfo:
    return metering.create_tenant(tenant_key, "Acme")


@pytest.fixture
def german_seller() -> None:
    save_seller(actor="ada", name="Our GmbH", country="DE", tax_id="DE 136 695 976")


def tax(own: TenantInfo, *when: int, **customer: Any) -> TaxTreatment:
    if customer:
        save_customer(own.key, actor="ada", **customer)
    return agreements.agreements([own], utc(*(when or (2026, 6, 15))))[own.key].tax


def test_a_tenant_without_a_customer_is_billed_by_its_name(own: TenantInfo) -> None:
    assert customer_of(own) == CustomerInfo(own.key, "Acme", known=False)


def test_what_is_saved_is_what_is_read(own: TenantInfo) -> None:
    save_customer(
        own.key, actor="ada", legal_name=" Acme GmbH ", country="de", tax_id="de 123 456 789", emails=["a@acme.example"]
    )
    found = customer_of(own)
    assert (found.legal_name, found.country, found.tax_id) == ("Acme GmbH", "DE", "DE123456789")
    assert (found.emails, found.known, found.payment_terms_days) == (("a@acme.example",), True, 30)


def test_what_is_not_named_stays(own: TenantInfo) -> None:
    save_customer(own.key, actor="ada", legal_name="Acme GmbH", city="Berlin")
    save_customer(own.key, actor="ada", city="Köln")
    assert (customer_of(own).legal_name, customer_of(own).city) == ("Acme GmbH", "Köln")


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"country": "UK"}, "country", "writes GB, not UK"),
        ({"country": "EL"}, "country", "writes GR, not EL"),
        ({"country": "Germany"}, "country", "GERMANY"),
        ({"country": "D3"}, "country", "'D3' is not a code"),
        ({"country": "XX"}, "country", "'XX' is not a code"),
        ({"emails": ["a@acme.example", "nonsense"]}, "emails", "'nonsense' is not an address"),
        ({"emails": [7]}, "emails", "7 is not an address"),
        ({"legal_name": " "}, "legal_name", "blank"),
        ({"payment_terms_days": -1}, "payment_terms_days", "greater than or equal to 0"),
        ({"collection": "cheque"}, "collection", "not a valid choice"),
        ({"shoe_size": 7}, "shoe_size", "no such field"),
        ({"known": True}, "known", "no such field"),
    ],
)
def test_a_customer_that_cannot_be_is_refused_by_field(
    own: TenantInfo, values: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(CustomerRefused, match=reason) as refused:
        save_customer(own.key, actor="ada", **values)
    assert list(refused.value.problems) == [field]
    assert not Customer.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_customer_is_one_of_meterings_tenants() -> None:
    with pytest.raises(CustomerRefused, match="there is no tenant 'nobody'"):
        save_customer("nobody", actor="ada", city="Berlin")


def test_every_change_of_a_customer_is_in_the_audit_log(own: TenantInfo) -> None:
    save_customer(own.key, actor="ada", city="Berlin", address="192.0.2.1")
    save_customer(own.key, actor="bob", city="Köln", grace_hours=48)
    save_customer(own.key, actor="bob", city="Köln")  # changes nothing
    changed, added = AuditEntry.objects.all()
    assert (added.actor, added.action, added.address, added.before) == ("ada", "add", "192.0.2.1", None)
    assert (changed.actor, changed.action) == ("bob", "change")
    assert (changed.before, changed.after) == (
        {"city": "Berlin", "grace_hours": 24},
        {"city": "Köln", "grace_hours": 48},
    )


def test_there_is_one_seller() -> None:
    assert seller() is None
    save_seller(actor="ada", name="Our GmbH", country="DE", iban="de89 3704 0044 0532 0130 00", bic="cobadeff")
    save_seller(actor="ada", phone="+49 30 1")
    found = seller()
    assert found is not None
    assert (found.name, found.iban, found.bic, found.phone) == (
        "Our GmbH",
        "DE89370400440532013000",
        "COBADEFF",
        "+49 30 1",
    )
    assert [each.action for each in AuditEntry.objects.all()] == ["change", "add"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"iban": "DE89370400440532013001"}, "iban"),
        ({"iban": "x"}, "iban"),
        ({"bic": "NOPE"}, "bic"),
        ({"country": ""}, "country"),
        ({"email": "nonsense"}, "email"),
        ({"name": ""}, "name"),
    ],
)
def test_a_seller_that_cannot_be_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(CustomerRefused) as refused:
        save_seller(actor="ada", **{"name": "Our GmbH", "country": "DE"} | values)
    assert list(refused.value.problems) == [field]


def test_without_a_seller_or_a_country_there_is_no_tax(own: TenantInfo) -> None:
    assert tax(own, country="DE") == TaxTreatment()
    save_seller(actor="ada", name="Our GmbH", country="DE")
    assert tax(own, country="") == TaxTreatment()


@pytest.mark.usefixtures("german_seller")
@pytest.mark.parametrize(
    ("customer", "rate", "category"),
    [
        ({"country": "DE"}, "0.19", "S"),
        ({"country": "DE", "tax_id": "DE136695976"}, "0.19", "S"),
        ({"country": "FR", "tax_id": "FR40303265045"}, "0", "AE"),
        ({"country": "FR", "tax_id": ""}, "0.2", "S"),
        ({"country": "FR", "tax_id": "FR99999999999"}, "0.2", "S"),  # its check digits do not fit
        ({"country": "US"}, "0", "O"),
        ({"country": "DE", "tax_exempt": "§ 4 Nr. 21 UStG"}, "0", "E"),
    ],
)
def test_tax_follows_from_what_seller_and_buyer_are(
    own: TenantInfo, customer: dict[str, Any], rate: str, category: str
) -> None:
    found = tax(own, **customer)
    assert (found.rate, found.category) == (Decimal(rate), category)
    assert bool(found.note) == (category != "S")


@pytest.mark.usefixtures("german_seller")
def test_the_rate_is_that_of_the_periods_last_local_day(own: TenantInfo) -> None:
    save_customer(own.key, actor="ada", country="DE")
    set_tax_rate(country="de", rate=Decimal("0.16"), effective_from=date(2026, 7, 1), actor="ada")
    set_tax_rate(country="DE", rate=Decimal("0.21"), effective_from=date(2027, 1, 1), actor="ada")
    contract(own.key, date(2026, 1, 1), time_zone="Europe/Berlin")
    rates = {moment: tax(own, *moment).rate for moment in ((2026, 6, 15), (2026, 7, 15), (2026, 12, 15), (2027, 1, 15))}
    assert [str(rate) for rate in rates.values()] == ["0.19", "0.16", "0.16", "0.21"]


@pytest.mark.usefixtures("german_seller")
def test_of_two_rates_for_a_day_the_later_holds(own: TenantInfo) -> None:
    for rate in ("0.3", "0.2"):
        set_tax_rate(country="DE", rate=Decimal(rate), effective_from=date(2026, 1, 1), actor="ada")
    assert tax(own, country="DE").rate == Decimal("0.2")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"country": "UK"}, "writes GB"),
        ({"rate": Decimal(19)}, "19 is not a rate from 0 to below 1"),
        ({"rate": Decimal("-0.1")}, "-0.1 is not a rate"),
        ({"rate": Decimal("NaN")}, "NaN is not a rate"),
        ({"rate": Decimal("0.123456789")}, "is not a rate"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_a_rate_that_cannot_be_is_refused(values: dict[str, Any], reason: str) -> None:
    usual = {"country": "DE", "rate": Decimal("0.19"), "effective_from": date(2026, 1, 1), "actor": "ada"}
    with pytest.raises(TaxRateRefused, match=reason):
        set_tax_rate(**usual | values)
    assert not TaxRate.objects.exists()


def test_a_rate_that_is_set_is_in_the_audit_log() -> None:
    row = set_tax_rate(country="DE", rate=Decimal("0.19"), effective_from=date(2026, 1, 1), actor="ada")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.object_type, entry.object_id) == ("ada", "add", "taxrate", str(row.pk))
    assert entry.after is not None
    assert (entry.after["rate"], entry.after["effective_from"]) == ("0.19", "2026-01-01")
