"""The commands of contracts, customers, the seller and tax rates."""

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from billing.contract_terms import contract
from billing.customers import customer_of, seller
from billing.models import AuditEntry, Contract, TaxRate
from billing.rating.terms import FlatFee
from billing.terms_json import terms_shown
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.test_agreements import EVERYTHING
from tests.billing.test_commands import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def own(tenant_key: str) -> TenantInfo:
    return metering.create_tenant(tenant_key)


def create(tenant: TenantInfo, *more: str) -> str:
    return run("create_contract", "--tenant", tenant.key, "--starts-on", "2026-01-15", *more)[0]


def test_create_contract_prints_its_number_alone(own: TenantInfo) -> None:
    number = create(
        own, "--time-zone", "Asia/Kathmandu", "--anchor-day", "31", "--plan", "Scale", "--commitment", "1000",
        "--fee", "base:310:Base fee", "--fee", "seat:49.90:", "--note", "signed",
    )  # fmt: skip
    found = contract(number)
    assert found is not None
    assert (found.zone.key, found.anchor_day, found.starts_on) == ("Asia/Kathmandu", 31, date(2026, 1, 15))
    terms = found.revisions[0].terms
    assert (terms.plan, terms.commitment) == ("Scale", Decimal(1000))
    assert terms.flat_fees == (FlatFee("base", "Base fee", Decimal(310)), FlatFee("seat", "seat", Decimal("49.9")))
    assert (found.revisions[0].created_by, found.revisions[0].note) == ("command", "signed")


def test_all_terms_come_from_a_file_and_options_come_on_top(own: TenantInfo, tmp_path: Path) -> None:
    file = tmp_path / "terms.json"
    file.write_text(json.dumps(terms_shown(EVERYTHING)), encoding="utf-8")
    found = contract(create(own, "--terms", str(file), "--plan", "Mine"))
    assert found is not None
    assert found.revisions[0].terms.plan == "Mine"
    assert found.revisions[0].terms.objectives == EVERYTHING.objectives


def test_terms_may_come_from_standard_input(own: TenantInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"commitment": 12.34}'))
    found = contract(create(own, "--terms", "-"))
    assert found is not None
    assert found.revisions[0].terms.commitment == Decimal("12.34")


def test_change_contract_changes_what_is_named(own: TenantInfo) -> None:
    number = create(own, "--plan", "S", "--fee", "base:310:Base fee")
    assert run("change_contract", number, "--on", "2026-02-01", "--plan", "M") == ("2", "")
    assert run("change_contract", number, "--on", "2026-03-01", "--pause")[0] == "3"
    assert run("change_contract", number, "--on", "2026-04-01", "--resume")[0] == "4"
    assert run("change_contract", number, "--on", "2026-05-01", "--end", "--note", "moved away")[0] == "5"
    found = contract(number)
    assert found is not None
    assert [(each.state, each.terms.plan, len(each.terms.flat_fees)) for each in found.course] == [
        ("active", "S", 1),
        ("active", "M", 1),
        ("paused", "M", 1),
        ("active", "M", 1),
        ("ended", "M", 1),
    ]
    assert found.revisions[-1].note == "moved away"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--on", "2026-01-01", "--plan", "M"), "that holds on 2026-01-01"),
        (("--on", "soon", "--plan", "M"), "not a date"),
        (("--on", "2026-02-01", "--plan", "S"), "on these terms"),
        (("--on", "2026-02-01", "--commitment", "much"), "not a decimal number"),
        (("--on", "2026-02-01", "--fee", "base"), "not a decimal number"),
        (("--on", "2026-02-01", "--terms", "/nowhere"), "No such file"),
        (("--on", "2026-02-01", "--pause", "--end"), "not allowed with"),
        (("--on", "2026-02-01", "--resume"), "is active on 2026-02-01 already"),
    ],
)
def test_change_contract_says_what_is_wrong(own: TenantInfo, arguments: tuple[str, ...], reason: str) -> None:
    number = create(own, "--plan", "S")
    with pytest.raises(CommandError, match=reason):
        run("change_contract", number, *arguments)


def test_a_file_that_holds_no_terms_is_refused_with_its_place(own: TenantInfo, tmp_path: Path) -> None:
    for text, reason in (("{", "Expecting"), ('{"price": 1}', "'price' is not one of"), ("[]", "terms are an object")):
        file = tmp_path / "terms.json"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(CommandError, match=reason):
            create(own, "--terms", str(file))
    assert not Contract.objects.exists()


def test_create_contract_says_what_is_wrong(own: TenantInfo) -> None:
    with pytest.raises(CommandError, match="there is no price book 'acme'"):
        create(own, "--price-book", "acme")
    with pytest.raises(CommandError, match="not a time zone"):
        create(own, "--time-zone", "Berlin")


def test_set_customer_sets_what_is_named(own: TenantInfo) -> None:
    out, _ = run(
        "set_customer", "--tenant", own.key, "--legal-name", "Acme GmbH", "--country", "DE", "--email", "a@acme.example",
        "--email", "b@acme.example", "--payment-terms-days", "14", "--collection", "stripe_invoice",
    )  # fmt: skip
    assert out == f"Acme GmbH ({own.key})"
    run("set_customer", "--tenant", own.key, "--city", "Berlin", "--tax-id", "")
    found = customer_of(own)
    assert (found.emails, found.payment_terms_days, found.city) == (("a@acme.example", "b@acme.example"), 14, "Berlin")
    with pytest.raises(CommandError, match="country: ISO 3166-1 writes GB"):
        run("set_customer", "--tenant", own.key, "--country", "UK")
    with pytest.raises(CommandError, match="there is no tenant 'nobody'"):
        run("set_customer", "--tenant", "nobody", "--country", "GB")


def test_set_seller_sets_what_is_named(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>", encoding="utf-8")
    assert run("set_seller", "--name", "Our GmbH", "--country", "DE", "--logo", str(logo))[0] == "Our GmbH"
    run("set_seller", "--iban", "DE89 3704 0044 0532 0130 00")
    found = seller()
    assert found is not None
    assert (found.logo, found.iban) == ("<svg/>", "DE89370400440532013000")
    with pytest.raises(CommandError, match="iban"):
        run("set_seller", "--iban", "DE00")
    with pytest.raises(CommandError, match="No such file"):
        run("set_seller", "--logo", "/nowhere")


def test_set_tax_rate_takes_percent() -> None:
    out, _ = run("set_tax_rate", "--country", "CH", "--percent", "8.1", "--effective-from", "2024-01-01")
    assert out == "CH VAT 0.081 from 2024-01-01"
    assert TaxRate.objects.get().rate == Decimal("0.081")
    with pytest.raises(CommandError, match="19 is 19 %"):
        run("set_tax_rate", "--country", "CH", "--percent", "810", "--effective-from", "2024-01-01")
    assert AuditEntry.objects.get().actor == "command"
