"""The pages of prices: books and what a version changed, which price applies, and the preview of a change."""

import csv
import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.urls import reverse

from billing import pricebook
from billing.agreements import create_contract
from billing.models import PricePreview
from billing.pricebook import PriceRow
from billing.rating.terms import Terms
from dashboard.formats import MINUS, NOTHING
from metering.contracts import TenantInfo
from tests.dashboard.conftest import LogIn
from tests.dashboard.price_previews import put_preview
from tests.metering.rows import NOON, insert_requests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

NEXT_CENTURY = datetime(2101, 1, 1, tzinfo=UTC)


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).strip()


def opened(log_in: LogIn, name: str, *arguments: Any, status: int = 200, **query: str) -> str:
    """As finance sees it."""
    response = log_in("finance").get(reverse(name, args=arguments), query)
    assert response.status_code == status, text(response.content.decode())
    return str(response.content.decode())


def row(**fields: Any) -> PriceRow:
    return PriceRow(**{"model": "m", "kind": "input", "currency": "USD", "amount": "2"} | fields)


def test_an_empty_installation_says_what_to_do_next(log_in: LogIn) -> None:
    assert "manage.py set_price" in opened(log_in, "prices")
    assert "No price book yet" in opened(log_in, "price-preview")
    assert "How a price is found" in opened(log_in, "price-explain")


def test_books_are_listed_with_their_drafts(log_in: LogIn, prices: None) -> None:
    pricebook.new_version("acme", [row()])
    page = text(opened(log_in, "prices"))
    assert "list 2 " in page
    assert f"acme {NOTHING} {NOTHING} version 1" in page


def test_a_draft_shows_what_it_changes_against_the_version_before(log_in: LogIn, prices: None) -> None:
    tiers = ({"up_to": 1_000_000, "amount": "2", "flat": "5"}, {"up_to": None, "amount": "0.5"})
    rows = [
        row(model="*", amount="1.25", effective_from=NEXT_CENTURY),
        row(charge_model="volume", amount=None, tiers=tiers),
    ]
    pricebook.new_version("list", rows, "dearer input")
    page = text(opened(log_in, "price-book", "list", version="3"))
    assert "version 3 draft" in page
    assert "dearer input" in page
    assert (
        "any model input everything changed 1.00 USD per million 1.25 USD per million +25.0 % 2101-01-01 00:00" in page
    )
    assert (
        f"m input everything added {NOTHING} up to 1,000,000: 2.00 and 5.00 flat; above: 0.50 USD per million" in page
    )
    assert "Worth a second look" in page
    older = text(opened(log_in, "price-book", "list", version="1"))
    assert "against an empty book" in older


def test_a_withdrawn_price_and_other_matchers_are_in_words(log_in: LogIn, prices: None) -> None:
    pricebook.add_price(row(tier="batch", region="eu", operation="chat", context_over=200_000))
    pricebook.add_price(PriceRow("*", "output", "USD", charge_model="withdrawn"))
    page = text(opened(log_in, "price-book", "list", version="4", against="2"))
    assert "tier batch, chat, in eu, over 200,000 input tokens" in page
    assert "withdrawn 3.00 USD per million no price" in page


@pytest.mark.parametrize(
    ("name", "query", "status"), [("none", {}, 404), ("list", {"version": "9"}, 400), ("list", {"against": "x"}, 400)]
)
def test_what_there_is_not_is_told(name: str, query: dict[str, str], status: int, log_in: LogIn, prices: None) -> None:
    opened(log_in, "price-book", name, status=status, **query)


@pytest.fixture
def contracted(tenant: TenantInfo, other: TenantInfo, prices: None) -> TenantInfo:
    """A customer with a book of its own, and another with another."""
    for info, amount in ((tenant, "0.77"), (other, "0.99")):
        pricebook.add_price(row(amount=amount), book=f"book-{info.key}")
        create_contract(
            tenant=info.key, starts_on=date(2026, 1, 1), terms=Terms(price_book=f"book-{info.key}"), actor="test"
        )
    return tenant


def test_the_price_of_an_event_is_explained_with_the_candidates(log_in: LogIn, contracted: TenantInfo) -> None:
    query = {"tenant": contracted.key, "model": "m", "kind": "input", "input_tokens": "1,000"}
    page = text(opened(log_in, "price-explain", **query))
    assert "0.77 USD per million" in page
    assert f"Book book-{contracted.key}, version 1, is the most specific that matches" in page
    assert re.search(r"1 applies .* 2 less specific", page)
    assert "0.99" not in page


def test_a_request_is_explained_for_every_kind_of_its_tokens(log_in: LogIn, contracted: TenantInfo) -> None:
    insert_requests(contracted.key, {"id": "r-1", "time": NOON}, {"id": "r-2", "time": NOON, "status": "error"})
    page = text(opened(log_in, "price-explain", tenant=contracted.key, request_id="r-1"))
    assert "100 input tokens 0.77 USD per million = 0.000077 USD" in page
    assert "10 output tokens 3.00 USD per million = 0.00003 USD" in page
    assert "Cost, before discounts 0.000107 USD" in page
    failed = text(opened(log_in, "price-explain", tenant=contracted.key, request_id="r-2"))
    assert "nothing of it is charged" in failed


@pytest.mark.parametrize(
    "query",
    [
        {"tenant": "nobody", "model": "m"},
        {"model": "m", "kind": "seats"},
        {"model": "m", "input_tokens": "many"},
        {"model": "m", "at": "soon"},
        {"request_id": "none"},
    ],
)
def test_a_question_that_cannot_be_answered_is_told(query: dict[str, str], log_in: LogIn, tenant: TenantInfo) -> None:
    assert "Not explained." in opened(log_in, "price-explain", status=400, **{"tenant": tenant.key} | query)


def test_no_price_is_told_as_such(log_in: LogIn, tenant: TenantInfo) -> None:
    page = text(opened(log_in, "price-explain", tenant=tenant.key, model="m"))
    assert "No price applies" in page


def test_a_customer_sees_its_own_prices_and_never_anothers(
    log_in: LogIn, contracted: TenantInfo, other: TenantInfo
) -> None:
    own = log_in("customer", contracted.key)
    page = own.get(reverse("portal-prices")).content.decode()
    assert "0.77 USD" in page
    assert "0.99" not in page
    insert_requests(other.key, {"id": "theirs", "time": NOON})
    address = reverse("portal-price-explain")
    answer = own.get(address, {"tenant": other.key, "model": "m"}).content.decode()
    assert "0.77 USD" in answer
    assert "0.99" not in answer
    assert other.key not in answer
    foreign = own.get(address, {"tenant": other.key, "request_id": "theirs"})
    assert foreign.status_code == 400
    assert "no request" in foreign.content.decode()


def test_a_preview_is_asked_for_and_shown_when_it_is_there(log_in: LogIn, prices: None, tenant: TenantInfo) -> None:
    version = pricebook.new_version("list", [row(model="*", amount="2")]).number
    form = opened(log_in, "price-preview")
    assert 'option value="3"' in form
    client = log_in("finance")
    answer = client.post(reverse("price-preview"), {"book": "list", "version": str(version), "months": "3"})
    run = PricePreview.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, reverse("price-preview-result", args=[run.pk]))
    assert (run.version.number, run.months, run.as_dated) == (version, 3, False)
    waiting = client.get(answer["Location"]).content.decode()
    assert "Waiting for a worker" in waiting
    assert "every 2s" in waiting
    PricePreview.objects.update(state="failed", error="the ledger is away")
    failed = client.get(answer["Location"]).content.decode()
    assert "the ledger is away" in failed
    assert "every 2s" not in failed


@pytest.mark.parametrize(
    "form", [{}, {"book": "list", "version": "9", "months": "3"}, {"book": "list", "version": "1", "months": "99"}]
)
def test_a_preview_of_nothing_is_refused(form: dict[str, str], log_in: LogIn, prices: None) -> None:
    answer = log_in("operator").post(reverse("price-preview"), form)
    assert answer.status_code == 400
    assert "Not asked for." in answer.content.decode()
    assert not PricePreview.objects.exists()


def test_a_result_shows_totals_and_the_worst_shock_first_and_all_of_it_as_csv(log_in: LogIn, prices: None) -> None:
    put_preview(
        7,
        {"tenant": "shocked", "bills": [("10", "30"), ("10", "10")]},
        {"tenant": "glad", "bills": [("5", "4.5")], "unpriced": 1},
        {"tenant": "abroad", "bills": [("100", "101")], "currency": "JPY"},
    )
    page = text(opened(log_in, "price-preview-result", 7))
    assert "shocked 2 20.00 USD 40.00 USD +20.00 USD +100.0 % +20.00 USD +200.0 % 2026-01-01" in page
    assert f"glad no price 1 5.00 USD 4.50 USD {MINUS}0.50 USD {MINUS}10.0 %" in page
    assert "abroad 1 100 JPY 101 JPY +1 JPY +1.0 %" in page
    assert "Change +19.50 USD +78.0 %" in page
    assert "Customers who pay more 1 less: 1, the same: 0" in page
    assert "could not be invoiced: glad" in page
    rows = list(csv.DictReader(io.StringIO(opened(log_in, "price-preview-csv", 7))))
    first, second, *_ = [(one["tenant"], one["before"], one["after"], one["change"]) for one in rows]
    assert (first, second) == (("shocked", "10", "30", "20"), ("shocked", "10", "10", "0"))


def test_a_result_without_bills_and_one_that_is_not_there(log_in: LogIn, prices: None) -> None:
    put_preview(8)
    assert "No bill in that time" in opened(log_in, "price-preview-result", 8)
    opened(log_in, "price-preview-result", 9, status=404)
    opened(log_in, "price-preview-csv", 9, status=404)


def test_a_long_book_is_cut_and_narrowed_by_model(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.finance.prices.MOST_SHOWN", 3)
    rows = [row(model=f"model-{n}") for n in range(5)]
    pricebook.publish("list", pricebook.new_version("list", rows).number)
    page = text(opened(log_in, "price-book", "list"))
    assert page.count("2 more: name a model") == 2
    assert "model-4" not in page
    narrowed = text(opened(log_in, "price-book", "list", model="EL-4"))
    assert "model-4" in narrowed
    assert "model-3" not in narrowed
