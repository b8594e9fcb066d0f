"""Versions of price books: drafts, publishing, what differs, and what an old version still says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing import pricebook, rating
from billing.models import AuditEntry, Price, Unchangeable
from billing.pricebook import PriceRefused, PriceRow
from billing.rating import PriceRule

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
NEXT_YEAR = datetime(2099, 1, 1, tzinfo=UTC)


class Used:
    """Usage of model m in tier standard."""

    model, tier, operation, region, context_band = "m", "standard", "chat", "eu", 32_000


def row(**fields: Any) -> PriceRow:
    return PriceRow(**({"model": "m", "kind": "input", "currency": "USD", "amount": "1"} | fields))


def rule(at: datetime = NOON, *, book: str = "", kind: str = "input", **versions: int) -> PriceRule | None:
    return pricebook.sheet("USD", book, versions or None).rule(Used(), kind, at)


def amount(at: datetime = NOON, **more: Any) -> Decimal | None:
    found = rule(at, **more)
    return found.amount if found else None


def test_a_draft_changes_nothing_until_it_is_published() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    draft = pricebook.new_version("list", [row(amount="2", effective_from=NEXT_YEAR)], "new year", "ada")
    assert (draft.number, pricebook.current_version()) == (2, 1)
    assert amount(NEXT_YEAR) == 1
    assert amount(NEXT_YEAR, list=2) == 2
    pricebook.publish("list", 2, "bob")
    assert pricebook.current_version() == 2
    assert (amount(NEXT_YEAR), amount(NOON)) == (2, 1)
    assert amount(NEXT_YEAR, list=1) == 1


def test_of_two_drafts_the_older_cannot_be_published_after_the_newer_and_is_never_in_the_book() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.new_version("list", [row(kind="output", amount="7")])
    pricebook.new_version("list", [row(amount="3", effective_from=NEXT_YEAR)])
    pricebook.publish("list", 3)
    with pytest.raises(PriceRefused, match=r"version 3 .* newer"):
        pricebook.publish("list", 2)
    assert amount(kind="output") is None
    assert [(one.number, one.open) for one in pricebook.versions_of("list")] == [(3, False), (2, False), (1, False)]


def test_publishing_twice_is_refused() -> None:
    pricebook.new_version("list", [row()])
    pricebook.publish("list", 1)
    with pytest.raises(PriceRefused, match="published already"):
        pricebook.publish("list", 1)


def test_a_row_without_a_moment_begins_when_its_version_is_published() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.new_version("list", [row(amount="2")])
    before = timezone.now()
    pricebook.publish("list", 2)
    later = before + timedelta(minutes=15)
    assert (amount(before - timedelta(minutes=1)), amount(later)) == (1, 2)
    begins = rule(later)
    assert begins is not None
    assert before <= begins.effective_from <= later


def test_the_first_price_of_a_key_in_a_draft_holds_from_the_beginning_of_time() -> None:
    pricebook.new_version("list", [row()])
    pricebook.publish("list", 1)
    assert amount(datetime(1999, 1, 1, tzinfo=UTC)) == 1


def test_only_what_differs_is_added() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    made = pricebook.new_version("list", [row(amount="1.00"), row(kind="output", amount="3")])
    assert [price.kind for price in made.prices.all()] == ["output"]
    with pytest.raises(PriceRefused, match="nothing differs"):
        pricebook.new_version("list", [row(amount="1.000")])


def test_a_complete_book_withdraws_what_it_does_not_name() -> None:
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD")
    made = pricebook.new_version("list", [row(amount="2")], complete=True)
    assert {(one.kind, one.charge_model) for one in made.prices.all()} == {
        ("input", "per_unit"),
        ("output", "withdrawn"),
    }
    pricebook.publish("list", made.number)
    later = timezone.now() + timedelta(minutes=15)
    assert (amount(later), amount(later, kind="output"), amount(NOON, kind="output")) == (2, None, 1)
    assert [one.row.kind for one in pricebook.in_force("list", at=later)] == ["input"]


def test_a_withdrawn_price_can_come_back() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.add_price(row(charge_model="withdrawn", amount=None, effective_from=NOON))
    assert amount(NOON) is None
    pricebook.set_price(
        model="m", kind="input", per_million="1", currency="USD", effective_from=NOON + timedelta(days=1)
    )
    assert (amount(NOON), amount(NOON + timedelta(days=1))) == (None, 1)


def test_a_contracts_book_comes_before_the_list_and_is_nobody_elses() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.set_price(model="*", kind="input", per_million="0.5", currency="USD", book="acme")
    assert (amount(), amount(book="acme")) == (1, Decimal("0.5"))
    assert pricebook.current_versions() == {"list": 1, "acme": 1}
    assert amount(book="acme", list=1) == 1  # a version that is not named: without that book


def test_a_price_of_another_currency_is_not_in_the_sheet() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="EUR")
    assert amount() is None


def test_what_a_version_changed_is_told_key_by_key() -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.set_price(model="m", kind="output", per_million="3", currency="USD")
    rows = [row(amount="1.20", effective_from=NEXT_YEAR), row(model="n", amount="5")]
    pricebook.new_version("list", rows)
    found = {(one.after or one.before).row.model: one for one in pricebook.differences("list", 2, 3)}  # type: ignore[union-attr]
    assert found["m"].share == Decimal("0.2")
    assert found["n"].before is None
    assert len(found) == 2
    assert [one.row.kind for one in pricebook.in_force("list", 3)] == ["input", "input", "output", "input"]


def test_every_change_is_in_the_audit_log_with_who() -> None:
    pricebook.new_version("list", [row()], "first prices", "ada")
    pricebook.publish("list", 1, "bob")
    found = {entry.action: entry for entry in AuditEntry.objects.filter(object_type="pricebookversion")}
    assert (found["add"].actor, found["publish"].actor) == ("ada", "bob")
    assert found["add"].after["prices"][0]["amount"] == "1"


def test_prices_and_versions_refuse_any_change() -> None:
    version = pricebook.new_version("list", [row()])
    price = Price.objects.get()
    price.amount = Decimal(9)
    for one in (price, version):
        with pytest.raises(Unchangeable):
            one.save()


@pytest.mark.parametrize("name", ["", "no spaces", "x" * 65, "a/b"])
def test_a_book_needs_a_plain_name(name: str) -> None:
    with pytest.raises(PriceRefused, match="price book"):
        pricebook.new_version(name, [row()])


def test_unknown_books_and_versions_are_told() -> None:
    pricebook.new_version("list", [row()])
    for book, version in (("list", 2), ("list", 0), ("list", -1), ("other", 1), ("list", 2**40)):
        with pytest.raises(pricebook.UnknownVersion):
            pricebook.publish(book, version)


def test_sheets_of_many_contracts_take_a_constant_number_of_queries(django_assert_max_num_queries: Any) -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    for n in range(12):
        pricebook.set_price(model="m", kind="input", per_million=str(n), currency="USD", book=f"c{n}")
    with django_assert_max_num_queries(2):
        found = pricebook.sheets([("USD", f"c{n}") for n in range(12)])
    held = [found["USD", f"c{n}"].rule(Used(), "input", NOON) for n in range(12)]
    assert [one.amount for one in held if one] == list(range(12))


def test_a_meter_must_exist_and_not_be_one_over_requests() -> None:
    for slug, reason in (("gpu_seconds", "no meter"), ("tokens_input", "measures requests")):
        with pytest.raises(PriceRefused, match=reason):
            pricebook.add_price(row(kind=f"meter:{slug}"))


TIERS = ({"up_to": 1_000_000, "amount": "2"}, {"up_to": None, "amount": "1"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"context_over": 100_000}, "edge of the ledger's bands"),
        ({"charge_model": "cheap"}, "unknown charge model"),
        ({"per": -5}, "at least one unit"),
        ({"amount": None}, "needs an amount"),
        ({"charge_model": "package", "amount": None}, "needs an amount"),
        ({"charge_model": "graduated", "tiers": TIERS}, "has no amount"),
        ({"tiers": TIERS}, "has no tiers"),
        ({"charge_model": "volume", "amount": None}, "at least one"),
        ({"charge_model": "volume", "amount": None, "tiers": (TIERS[0],)}, "no end"),
        ({"charge_model": "volume", "amount": None, "tiers": (TIERS[0], TIERS[0], TIERS[1])}, "bounds rise"),
        (
            {"charge_model": "volume", "amount": None, "tiers": ({"up_to": 1.5, "amount": "1"}, TIERS[1])},
            "whole number",
        ),
        ({"charge_model": "volume", "amount": None, "tiers": ({"upto": 1, "amount": "1"}, TIERS[1])}, "not 'upto'"),
        ({"charge_model": "percentage", "amount": None, "rate": "0.1"}, "only a meter"),
        ({"operation": "x" * 65}, "at most 64"),
        ({"kind": "meter:"}, "no meter"),
        ({"amount": 0.1}, "binary fraction"),
        ({"model": "a\x00b"}, "NUL"),
    ],
)
def test_what_is_no_price_is_refused_and_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PriceRefused, match=reason):
        pricebook.all_checked([row(**fields)])
    assert not Price.objects.exists()


@pytest.mark.parametrize(("kind", "per"), [("input", 1_000_000), ("request", 1)])
def test_a_price_is_of_a_million_tokens_or_of_one_request_unless_it_says_otherwise(kind: str, per: int) -> None:
    assert pricebook.all_checked([row(kind=kind)])[0].per == per


def test_two_rows_of_one_key_and_moment_are_refused_by_their_places() -> None:
    with pytest.raises(PriceRefused, match=r"row 3 .* row 1"):
        pricebook.all_checked([row(), row(kind="output"), row(kind="uncached_input", amount="2")])


def test_tiers_that_make_more_usage_cheaper_are_remarked_not_refused() -> None:
    tiers = ({"up_to": 100, "amount": "2000000"}, {"up_to": None, "amount": "1000000"})
    pricebook.new_version("list", [row(charge_model="volume", amount=None, tiers=tiers)])
    assert ["falls from 200 to 100" in remark for remark in pricebook.remarks("list", 1)] == [True]
    graduated = pricebook.new_version("list", [row(charge_model="graduated", amount=None, tiers=tiers)])
    assert pricebook.remarks("list", graduated.number) == []


def test_all_matchers_and_charge_models_come_back_from_the_database_as_they_were_written() -> None:
    rows = [
        row(tier="batch", operation="chat", region="eu", context_over=200_000, effective_from=rating.BEGINNING),
        row(kind="request", charge_model="package", amount="0.5", per=1000, effective_from=rating.BEGINNING),
        row(kind="output", charge_model="graduated", amount=None, tiers=TIERS, effective_from=rating.BEGINNING),
    ]
    pricebook.publish("list", pricebook.new_version("list", rows).number)
    again = [one.row for one in pricebook.in_force("list")]
    assert {one.key for one in again} == {one.key for one in rows}
    assert all(pricebook.latest_by_key("list")[one.key].row.terms == one.terms for one in pricebook.all_checked(rows))
