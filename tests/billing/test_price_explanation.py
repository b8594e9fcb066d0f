"""Which price applies to an event and why, for a tenant's own prices alone."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from billing import pricebook
from billing.agreements import create_contract
from billing.price_explanation import NotExplained, Question, explain_price, explain_request
from billing.pricebook import PriceRow
from billing.rating.terms import Terms
from billing.tenant_prices import prices_of
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key, rows_of
from tests.billing.conftest import NOON, Use

pytestmark = pytest.mark.django_db

PRICES, EXPLAIN = "/api/v1/prices", "/api/v1/prices/explain"


@pytest.fixture
def two(tenant_key: str, clickhouse: None, prices: None) -> tuple[TenantInfo, TenantInfo]:
    """One with a contract and a book of its own: m's input at 0.10 USD, in eu-north at 0.08; and one with another."""
    found = []
    for name, per_million in (("own", "0.10"), ("other", "0.99")):
        tenant = metering.create_tenant(f"{tenant_key}-{name}")
        book = f"book-{name}"
        pricebook.set_price(model="m", kind="input", per_million=per_million, currency="USD", book=book)
        create_contract(tenant=tenant.key, starts_on=date(2026, 1, 1), terms=Terms(price_book=book), actor="test")
        found.append(tenant)
    pricebook.set_price(model="m", kind="input", per_million="0.08", currency="USD", region="eu-north", book="book-own")
    own, other = found
    return own, other


def outcomes(tenant: str, **question: Any) -> list[tuple[str, str, str]]:
    usual = {"model": "m", "kind": "input", "tier": "standard", "at": NOON}
    found = explain_price(tenant, Question(**usual | question))
    return [(one.price.book, str(one.price.row.amount.normalize()), one.outcome) for one in found.candidates]  # type: ignore[union-attr]


def test_candidates_are_in_order_with_the_winner_and_why_the_others_lost(two: tuple[TenantInfo, TenantInfo]) -> None:
    own, _ = two
    assert outcomes(own.key, region="eu-north") == [
        ("book-own", "0.08", "won"),
        ("book-own", "0.1", "less_specific"),
        ("list", "0.15", "less_specific"),
    ]
    assert outcomes(own.key, region="us-east") == [
        ("book-own", "0.08", "no_match"),
        ("book-own", "0.1", "won"),
        ("list", "0.15", "less_specific"),
    ]


def test_before_its_contract_a_tenant_has_list_prices(two: tuple[TenantInfo, TenantInfo]) -> None:
    found = explain_price(two[0].key, Question("m", "input", at=datetime(2025, 12, 31, tzinfo=UTC)))
    assert (found.contract, found.book) == ("", "")
    assert {one.price.book for one in found.candidates} == {"list"}


def test_a_price_that_begins_later_or_was_replaced_is_told(two: tuple[TenantInfo, TenantInfo]) -> None:
    pricebook.set_price(model="m", kind="input", per_million="0.2", currency="USD", effective_from=NOON)
    pricebook.set_price(
        model="m", kind="input", per_million="0.3", currency="USD", effective_from=NOON + timedelta(days=1)
    )
    at_list = [one for one in outcomes(two[0].key) if one[0] == "list"]
    assert at_list == [("list", "0.3", "not_yet"), ("list", "0.2", "less_specific"), ("list", "0.15", "replaced")]


def test_a_context_threshold_is_for_more_tokens_than_it_says(tenant: TenantInfo, prices: None) -> None:
    pricebook.set_price(model="m", kind="input", per_million="0.3", currency="USD", context_over=200_000)
    assert [outcomes(tenant.key, input_tokens=n)[0][2] for n in (199_999, 200_000, 200_001)] == [
        "no_match",
        "no_match",
        "won",
    ]


def test_without_a_price_there_is_no_winner(tenant: TenantInfo, prices: None) -> None:
    found = explain_price(tenant.key, Question("unheard-of", "input"))
    assert (found.winner, found.candidates) == (None, ())


def test_reasoning_has_outputs_price_and_says_so(tenant: TenantInfo, prices: None) -> None:
    found = explain_price(tenant.key, Question("m", "reasoning"))
    assert found.winner is not None
    assert found.winner.price.row.kind == "output"


@pytest.mark.parametrize(("model", "kind", "tokens"), [("", "input", 0), ("m", "seats", 0), ("m", "input", -1)])
def test_what_cannot_be_asked_is_refused(model: str, kind: str, tokens: int, tenant: TenantInfo) -> None:
    with pytest.raises(NotExplained):
        explain_price(tenant.key, Question(model, kind, input_tokens=tokens))


def test_an_unknown_tenant_is_told(db: None) -> None:
    for ask in (lambda: explain_price("nobody", Question("m", "input")), lambda: explain_request("nobody", "1")):
        with pytest.raises(LookupError):
            ask()


def test_a_request_is_explained_kind_by_kind(tenant: TenantInfo, use: Use, prices: None) -> None:
    pricebook.add_price(PriceRow("*", "request", "USD", amount="0.001"))
    use(tenant.key, {"id": "r1", "cached_input_tokens": 40, "reasoning_tokens": 4}, {"id": "r2", "status": "error"})
    found = explain_request(tenant.key, "r1")
    assert found is not None
    assert found.billed
    said = {
        one.question.kind: (one.quantity, str(one.winner.price.row.amount)[:5]) for one in found.kinds if one.winner
    }
    assert said == {
        "input": (60, "0.150"),
        "cached_input": (40, "0.075"),
        "output": (6, "0.600"),
        "reasoning": (4, "0.600"),
        "request": (1, "0.001"),
    }
    failed = explain_request(tenant.key, "r2")
    assert failed is not None
    assert not failed.billed
    assert explain_request(tenant.key, "r3") is None


def test_of_a_requests_arrivals_the_first_counts_and_the_latest_usage_of_an_id(tenant: TenantInfo, use: Use) -> None:
    later = {"ingested_at": NOON + timedelta(hours=1)}
    use(tenant.key, {"id": "r", "model": "first"}, {"id": "r", "model": "conflict"} | later)
    found = metering.request_named(tenant.key, "r")
    assert found is not None
    assert found.model == "first"
    days_later = {"time": NOON + timedelta(days=3), "ingested_at": NOON + timedelta(days=3)}
    use(tenant.key, {"id": "r", "model": "again"} | days_later)
    again = metering.request_named(tenant.key, "r")
    assert again is not None
    assert (again.model, again.time) == ("again", NOON + timedelta(days=3))
    assert metering.request_named(tenant.key, "r", "elsewhere") is None
    assert metering.request_named(tenant.key, "x" * 129) is None


# The API


def test_a_tenants_key_gets_its_own_prices_and_no_other_book(two: tuple[TenantInfo, TenantInfo]) -> None:
    own, other = two
    rows = get(PRICES, key(own.key)).json()["data"]
    assert {row["book"] for row in rows} == {"book-own", "list"}
    assert [row["book"] for row in rows][:2] == ["book-own", "book-own"]
    assert "0.99" not in str(rows)
    for query in ({"book": "book-other"}, {"book": "book-own"}, {"tenant": other.key}):
        assert get(PRICES, key(own.key), query).status_code == 403
    assert next(one.book for one in prices_of(other.key)) == "book-other"


def test_an_operators_key_gets_a_tenants_prices_or_a_book(two: tuple[TenantInfo, TenantInfo]) -> None:
    token, (own, _) = key(None), two
    assert {row["book"] for row in get(PRICES, token).json()["data"]} == {"list"}
    assert {row["amount"] for row in get(PRICES, token, {"book": "book-other"}).json()["data"]} == {"0.99"}
    assert {row["book"] for row in get(PRICES, token, {"tenant": own.key}).json()["data"]} == {"book-own", "list"}
    assert get(PRICES, token, {"book": "none"}).status_code == 404
    assert get(PRICES, token, {"book": "list", "tenant": own.key}).status_code == 400
    assert get(PRICES, token, {"colour": "red"}).status_code == 400


def test_prices_come_in_pages_and_as_csv(prices: None, clickhouse: None) -> None:
    tiers = ({"up_to": 10, "amount": "2"}, {"up_to": None, "amount": "1"})
    pricebook.add_price(PriceRow("m", "cache_write", "USD", charge_model="graduated", tiers=tiers))
    token, seen, cursor = key(None), [], None
    while True:
        page = get(PRICES, token, {"limit": "3"} | ({"cursor": cursor} if cursor else {})).json()
        seen += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(row["kind"] for row in seen) == ["cache_write", "cached_input", "input", "output"]
    rows = {row["kind"]: row for row in rows_of(get(PRICES, token, {"format": "csv"}))}
    assert rows["input"]["amount"] == "0.15"
    assert (
        rows["cache_write"]["tiers"] == '[{"up_to":10,"amount":"2","flat":"0"},{"up_to":null,"amount":"1","flat":"0"}]'
    )


def test_the_api_explains_an_event_and_a_request(two: tuple[TenantInfo, TenantInfo], use: Use) -> None:
    own, other = two
    use(own.key, {"id": "r1", "region": "eu-north"})
    token = key(own.key)
    event = {"model": "m", "region": "eu-north", "at": "2026-01-15T12:00:00Z", "input_tokens": "5"}
    (found,) = get(EXPLAIN, token, event).json()["data"]
    assert (found["price"]["amount"], found["book"]) == ("0.08", "book-own")
    assert [one["outcome"] for one in found["candidates"]] == ["won", "less_specific", "less_specific"]
    answer = get(EXPLAIN, token, {"request_id": "r1"}).json()
    assert [(one["kind"], one["quantity"], one["price"]["amount"]) for one in answer["data"]] == [
        ("input", 100, "0.08"),
        ("output", 10, "0.6"),
    ]
    assert get(EXPLAIN, key(other.key), {"request_id": "r1"}).status_code == 404
    assert get(EXPLAIN, key(None), {"request_id": "r1", "tenant": own.key}).json() == answer


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"model": "m", "kind": "seats"}, 400),
        ({"model": "m", "input_tokens": "many"}, 400),
        ({"model": "m", "at": "soon"}, 400),
        ({"request_id": "r", "model": "m"}, 400),
        ({"request_id": "none"}, 404),
        ({"model": "m", "tenant": "other"}, 403),
        ({"format": "csv", "model": "m"}, 400),
    ],
)
def test_the_api_refuses_by_name(query: dict[str, str], status: int, tenant: TenantInfo) -> None:
    assert get(EXPLAIN, key(tenant.key), query).status_code == status


def test_the_api_needs_a_key_a_scope_and_a_tenant(tenant: TenantInfo) -> None:
    for path in (PRICES, EXPLAIN):
        assert get(path, None).status_code == 401
        assert get(path, key(tenant.key, "finance:read"), {"model": "m"}).status_code == 403
    assert get(EXPLAIN, key(None), {"model": "m"}).status_code == 400
    assert get(EXPLAIN, key(None), {"model": "m", "tenant": "nobody"}).status_code == 404
