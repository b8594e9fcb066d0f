"""The price book: what is added, from when it holds, and what is refused."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone as clock

from billing import pricebook, rating
from billing.models import Price
from billing.pricebook import PriceRefused
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use, close

pytestmark = pytest.mark.django_db


def set_price(**fields: Any) -> pricebook.PriceSet:
    return pricebook.set_price(**({"model": "m", "kind": "input", "per_million": "1", "currency": "USD"} | fields))


@dataclass(frozen=True)
class Used:
    """What decides the price of some usage."""

    model: str = "m"
    tier: str = "standard"
    operation: str = "chat"
    region: str = "eu"
    context_band: int = 32_000


def held(
    at: datetime, kind: str = "input", tier: str = "standard", model: str = "m", versions: dict[str, int] | None = None
) -> Decimal | None:
    found = pricebook.sheet("USD", versions=versions).rule(Used(model, tier), kind, at)
    return found.amount if found else None


def test_the_first_price_holds_from_the_beginning_of_time() -> None:
    made = set_price(per_million="0.15")
    assert (made.version, made.effective_from, made.added) == (1, rating.BEGINNING, True)
    assert held(datetime(2023, 11, 16, tzinfo=UTC)) == Decimal("0.15")


def test_a_later_price_holds_from_the_next_quarter_of_an_hour() -> None:
    set_price(per_million="1")
    before = clock.now()
    made = set_price(per_million="2")
    assert made.version == 2
    assert before <= made.effective_from <= clock.now() + timedelta(minutes=15)
    assert (made.effective_from.minute % 15, made.effective_from.second, made.effective_from.microsecond) == (0, 0, 0)
    assert held(made.effective_from) == 2
    assert held(made.effective_from - timedelta(microseconds=1)) == 1


def test_a_price_of_a_tier_or_kind_of_its_own_is_a_first_price_too() -> None:
    set_price()
    assert set_price(tier="batch", per_million="0.5").effective_from == rating.BEGINNING
    assert set_price(kind="output").effective_from == rating.BEGINNING
    assert held(NOON, tier="batch") == Decimal("0.5")


def test_the_same_price_again_adds_no_version() -> None:
    set_price(per_million="0.60")
    again = set_price(per_million="0.600")
    assert (again.version, again.added) == (1, False)
    assert Price.objects.count() == 1


def test_a_date_sets_when_a_price_begins_and_the_one_before_holds_until_then() -> None:
    set_price(per_million="1")
    set_price(per_million="2", effective_from=NOON)
    assert (held(NOON - timedelta(minutes=15)), held(NOON)) == (1, 2)


def test_an_older_version_of_the_book_is_still_what_it_was() -> None:
    set_price(per_million="1")
    set_price(per_million="2", effective_from=rating.BEGINNING)
    assert [held(NOON, versions={"list": version}) for version in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"per_million": "-1"}, "at least 0"),
        ({"per_million": "-0"}, "at least 0"),
        ({"per_million": "NaN"}, "at least 0"),
        ({"per_million": "Infinity"}, "at least 0"),
        ({"per_million": "1e12"}, "below 10"),
        ({"per_million": "0.0000000000001"}, "12 digits"),
        ({"per_million": "a dollar"}, "not a decimal"),
        ({"per_million": ""}, "not a decimal"),
        ({"currency": "XAU"}, "ISO 4217"),
        ({"currency": "dollars"}, "ISO 4217"),
        ({"kind": "gpu_seconds"}, "unknown kind"),
        ({"model": ""}, "name of a model"),
        ({"model": "m" * 201}, "name of a model"),
        ({"effective_from": datetime(2026, 1, 1, 0, 7, tzinfo=UTC)}, "quarter of an hour"),
        ({"effective_from": datetime(2026, 1, 1)}, "quarter of an hour"),  # noqa: DTZ001 - that it has no zone is the case
        ({"effective_from": datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=7)))}, "quarter of an hour"),
    ],
)
def test_what_is_no_price_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PriceRefused, match=reason):
        set_price(**fields)
    assert not Price.objects.exists()


@pytest.fixture
def invoiced(tenant: TenantInfo, use: Use, settled: datetime, prices: None) -> TenantInfo:
    """A tenant whose month is billed: input and output of model m."""
    use(tenant.key, {})
    close(tenant)
    return tenant


@pytest.mark.usefixtures("invoiced")
@pytest.mark.parametrize(
    "fields",
    [
        {"effective_from": NOON},
        {"effective_from": rating.BEGINNING},
        {"effective_from": MONTH.end - timedelta(minutes=15)},
        {"tier": "standard", "effective_from": NOON},
    ],
)
def test_a_price_that_would_change_what_is_invoiced_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PriceRefused, match="invoiced up to 2026-02-01"):
        set_price(per_million="9", **fields)


@pytest.mark.usefixtures("invoiced")
@pytest.mark.parametrize(
    "fields",
    [
        {"effective_from": MONTH.end},
        {"model": "another", "effective_from": NOON},
        {"model": "*", "effective_from": NOON},  # less specific than what was billed
        {"tier": "batch", "effective_from": NOON},
        {"kind": "reasoning", "effective_from": NOON},  # none was billed
        {"currency": "EUR", "effective_from": NOON},
        {"per_million": "0.15", "effective_from": NOON},  # the price that was billed
    ],
)
def test_a_price_that_changes_nothing_that_is_invoiced_is_taken(fields: dict[str, Any]) -> None:
    assert set_price(**({"per_million": "9"} | fields)).added


@pytest.mark.usefixtures("settled")
def test_a_first_price_does_not_reach_back_into_what_a_general_price_was_billed_at(
    tenant: TenantInfo, use: Use
) -> None:
    for kind in ("input", "output"):
        set_price(model="*", kind=kind)
    use(tenant.key, {})
    close(tenant)
    assert set_price(per_million="2").effective_from > MONTH.end
    assert set_price(model="new").effective_from == rating.BEGINNING
