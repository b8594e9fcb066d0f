"""The pages of tenants: what each uses, its share of capacity, its latency, and what it brings in; sorted, searched, page by page."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.template.loader import render_to_string
from django.urls import reverse
from pytest_django.fixtures import Settings

from billing.public import set_price
from dashboard.operator import neighbours, tenants
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters
from dashboard.operator.pages import frame
from dashboard.operator.registry import PAGES
from dashboard.operator.shelf import SHELF
from metering.models import IngestHost
from metering.public import Neighbour, create_tenant
from tests.billing.energy import attributed, energy_costs_from_now_on, nobodys, settle
from tests.dashboard.conftest import LogIn
from tests.metering.rows import empty_tables, insert_requests

# What is read aside is read by a thread, which sees only what is committed.
by_threads = pytest.mark.django_db(transaction=True)
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
END = HOUR + timedelta(hours=1)
TABLES = ("energy_windows", "energy_attributed", "energy_hours", "energy_attributed_hours")
GRAINS = ("minute", "hour", "day")
READ = (
    *("requests_minute", "requests_hour", "tenant_day"),
    *(f"{kind}_{grain}" for kind in ("tenants", "service", "cuts") for grain in GRAINS),
)


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> Iterator[None]:
    empty_tables(*TABLES, *READ)
    SHELF.clear()
    yield
    SHELF.clear()


@pytest.fixture
def two(db: None) -> tuple[str, str]:
    """The larger and the smaller of two customers with requests two hours ago, energy and prices; 2 of 10 GPU hours are idle."""
    larger, smaller = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("big", "small"))
    create_tenant(larger, "Big <Search>")
    create_tenant(smaller, "Small Corp")
    at = HOUR + timedelta(minutes=10)
    place = {"time": at, "ingested_at": at, "model": "m1", "region": "eu", "cluster": "c1"}
    usual = {"input_tokens": 600_000, "output_tokens": 200_000, "ttft_ms": 100.0, "tpot_ms": 20.0, "e2e_ms": 4000.0}
    insert_requests(larger, *(place | usual | {"id": f"{n}"} for n in range(4)))
    insert_requests(
        larger,
        place | {"id": "before", "time": at - timedelta(hours=24), "input_tokens": 1_000_000, "output_tokens": 0},
    )
    insert_requests(smaller, place | usual | {"id": "1", "ttft_ms": 900.0, "tier": "batch", "project": "p1"})
    insert_requests(smaller, place | {"id": "2", "status": "error", "input_tokens": 5, "output_tokens": 0})
    attributed(HOUR, larger, kwh="6", gpu_hours="6", model="m1", decode_tokens=800_000.0, requests=4)
    attributed(HOUR, smaller, kwh="2", gpu_hours="2", model="m1", tier="batch", decode_tokens=200_000.0)
    nobodys(HOUR, model="m1", idle_nkwh="2", idle_gpu_nh="2")
    energy_costs_from_now_on()
    for kind, per_million in (("input", "1"), ("output", "3")):
        set_price(model="*", kind=kind, per_million=per_million, currency="USD")
    IngestHost.objects.create(name="h", settled_before=NOW, published_at=NOW)
    settle(END)
    return larger, smaller


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).strip()


def opened(log_in: LogIn, *ids: str, **query: str) -> str:
    """The page of one customer, or of all."""
    SHELF.clear()
    address = reverse("operator-tenant" if ids else "operator-tenants", args=ids)
    response = log_in("operator").get(address, {"range": "24h"} | query)
    assert response.status_code == 200
    return str(response.content.decode())


def streamed(key: str, *ids: str, **query: str) -> dict[str, str]:
    """The parts of a page, as its stream sends them."""
    SHELF.clear()
    ASIDE.clear()
    page = PAGES[key]
    filters = Filters.read({"range": "24h"} | query, page.options)
    page.read(filters, ids)
    ASIDE.settle()  # a listener gets what is read aside with a later reading
    found = page.read(filters, ids)
    context = frame(page, filters, ids) | dict(found.context)
    return {place: render_to_string(template, context) for place, template in page.parts.items()}


def order(page: str) -> list[str]:
    return re.findall(r'data-row="([^"]*)"', page)


def row(page: str, key: str) -> str:
    found = re.search(rf'data-row="{key}">(.*?)</tr>', page, re.DOTALL)
    assert found is not None
    return text(found.group(1))


def test_a_customer_has_its_usage_growth_errors_and_share_of_capacity(two: tuple[str, str], log_in: LogIn) -> None:
    larger, smaller = two
    page = opened(log_in)
    assert order(page) == [larger, smaller]
    # 3.2 million tokens against 1 million the day before; 6 of 10 GPU hours and kWh.
    assert re.search(r"4 2,400,000 800,000 \+2\d\d\.\d % 0 % 60\.0 % 60\.0 %", row(page, larger))
    assert re.search(r"2 600,005 200,000 new 50\.0 % 20\.0 % 20\.0 %", row(page, smaller))
    assert "Big &lt;Search&gt;" in page
    assert "Big <Search>" not in page


@by_threads
def test_latency_and_money_come_by_the_stream(two: tuple[str, str], log_in: LogIn) -> None:
    larger, smaller = two
    assert "…" in row(opened(log_in), larger)
    table = streamed("tenants")["tenants-table"]
    # p50 and p95 of time to first token, of time per output token, and end to end; then revenue, energy, GPU time and margin.
    assert re.search(r" 9\d\d 9\d\d (19|20)\.\d (19|20)\.\d [34]\.\d\d [34]\.\d\d 1\.20", row(table, smaller))
    assert re.search(r"4\.80 1\.20 15\.00 .11\.40", row(table, larger))
    assert "money, USD" in text(table)


def test_shares_of_capacity_come_to_the_whole(two: tuple[str, str], log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-tenants"), {"range": "24h"})
    assert response.context["figures"]["chart-capacity"]["reading"]
    page = PAGES["tenants"]
    figure = page.read(Filters.read({"range": "24h"}, page.options), ()).figures["chart-capacity"]
    bars = {bar["name"]: sum(bar["y"]) for bar in figure["data"]}
    assert bars == {two[0]: 60.0, two[1]: 20.0, "idle": 20.0}
    tokens = response.context["figures"]["chart-tokens"]["data"]
    assert {bar["name"] for bar in tokens} == set(two)
    assert sum(sum(bar["y"]) for bar in tokens) * 3600 == pytest.approx(4_000_005, rel=1e-3)


@pytest.mark.parametrize(
    ("sort", "first"), [("requests", 0), ("errors", 1), ("gpu", 0), ("energy", 0), ("name", 0), ("growth", 0)]
)
def test_they_are_sorted_as_asked(sort: str, first: int, two: tuple[str, str], log_in: LogIn) -> None:
    assert order(opened(log_in, sort=sort))[0] == two[first]


@by_threads
@pytest.mark.parametrize(("sort", "first"), [("revenue", 0), ("margin", 1)])
def test_by_money_they_are_sorted_once_all_of_it_is_known(
    sort: str, first: int, two: tuple[str, str], log_in: LogIn
) -> None:
    assert "Adding up what everybody brings in" in opened(log_in, sort=sort)
    assert order(streamed("tenants", sort=sort)["tenants-table"])[0] == two[first]


def test_filters_narrow_usage_and_energy(two: tuple[str, str], log_in: LogIn) -> None:
    page = opened(log_in, tier="batch")
    assert order(page) == [two[1]]
    assert "100.0 % 100.0 %" in row(page, two[1])
    assert order(opened(log_in, cluster="elsewhere")) == []
    assert order(opened(log_in, tenant=two[0])) == [two[0]]


def test_a_part_of_key_or_name_finds_customers_with_or_without_usage(two: tuple[str, str], log_in: LogIn) -> None:
    quiet = f"quiet-{uuid.uuid4().hex[:8]}"
    create_tenant(quiet, "Small and quiet")
    assert order(opened(log_in, find="SMALL")) == [two[1], quiet]
    assert order(opened(log_in, find=two[0][:8].upper())) == [two[0]]
    assert "No customer's key or name holds" in opened(log_in, find="nobody-like-this")


def test_a_hundred_are_on_a_page(two: tuple[str, str], log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "LENGTH", 1)
    first, second = opened(log_in), opened(log_in, page="2")
    assert (order(first), order(second)) == ([two[0]], [two[1]])
    assert "1 to 1 of 2" in text(first)
    assert 'rel="next" href="?range=24h&amp;page=2"' in first
    assert 'rel="next"' not in second
    assert order(opened(log_in, page="9")) == [two[1]]


@pytest.mark.parametrize("query", [{"sort": "colour"}, {"page": "0"}, {"page": "x"}, {"range": "1y"}])
def test_an_address_that_asks_for_what_there_is_not_is_400(query: dict[str, str], log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-tenants"), query).status_code == 400


def test_without_requests_it_says_what_to_do_next(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "No customer had requests in this range" in page
    assert "no energy is settled in this range" in text(page)


def test_noisy_neighbours_say_what_they_move_on_which_model(
    two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Neighbour(two[0], "m1", "ttft_ms", 100.0, 250.0, 0.6, 12, 0.8, True)
    monkeypatch.setattr(neighbours, "noisy_neighbours", lambda *_: [found])
    shown = text(streamed("tenants")["tenants-neighbours"])
    assert f"{two[0]} m1 time to first token 100 ms 250 ms 2.5 60.0 % 12 0.80 load comes first" in shown
    assert two[0] in streamed("tenant", two[0])["tenant-neighbours"]
    assert two[0] not in streamed("tenant", two[1])["tenant-neighbours"]


@by_threads
def test_a_customers_page_has_its_usage_by_model_tier_and_project(two: tuple[str, str], log_in: LogIn) -> None:
    parts = streamed("tenant", two[1])
    tables = text(parts["tenant-tables"])
    assert re.search(r"m1 2 600,005 200,000 50\.0 % .* 2\.000 2\.000 36\.00 0\.40 USD 1\.20 USD .4\.20", tables)
    assert re.search(r"batch 1 600,000 200,000", tables)
    assert re.search(r"p1 1 600,000 200,000 1\.20 USD", tables)
    tiles = text(parts["tenant-tiles"])
    assert re.search(r"Share of GPU time 20\.0 % 2\.000 of 10\.000 GPU hours", tiles)
    assert re.search(
        r"Revenue 1\.20 USD .* Costs 5\.40 USD energy 0\.40, GPU time 5\.00 Margin: a loss .4\.20 USD", tiles
    )


def test_a_customers_latency_stands_beside_everybodys(two: tuple[str, str], log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-tenant", args=[two[1]]), {"range": "24h"})
    lines = {line["name"]: max(y for y in line["y"] if y) for line in response.context["figures"]["chart-ttft"]["data"]}
    assert lines["this customer, p50"] == pytest.approx(900, rel=0.02)
    assert lines["everybody, p50"] == pytest.approx(100, rel=0.02)
    assert set(response.context["figures"]) == {
        *("chart-tokens", "chart-requests", "chart-ttft", "chart-tpot", "chart-e2e", "chart-energy", "chart-capacity")
    }
    assert response.context["figures"]["chart-capacity"]["reading"]
    page = PAGES["tenant"]
    figures = page.read(Filters.read({"range": "24h"}, page.options), (two[1],)).figures
    capacity = {bar["name"]: sum(bar["y"]) for bar in figures["chart-capacity"]["data"]}
    assert capacity == {two[1]: 20.0, "others": 60.0, "idle": 20.0}


def test_a_customers_page_links_to_usage_invoices_and_credit(two: tuple[str, str], log_in: LogIn) -> None:
    page = opened(log_in, two[0])
    for name in ("customer", "customer-credits", "customer-draft"):
        assert reverse(name, args=[two[0]]) in page
    address = f"{reverse('invoices')}?customer={two[0]}"
    assert address in page
    assert log_in("operator").get(address).status_code == 200


def test_a_customer_that_there_is_not_is_404(log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-tenant", args=["nobody"]))
    assert response.status_code == 404
    assert "There is no customer" in response.content.decode()


def test_a_customer_without_usage_has_a_page_that_says_so(log_in: LogIn) -> None:
    key = f"idle-{uuid.uuid4().hex[:8]}"
    create_tenant(key)
    page = opened(log_in, key)
    assert "No requests in this range" in page
    assert "none in this period" in text(page)


@pytest.mark.parametrize("args", [(), ("t",)])
def test_it_says_that_clickhouse_is_down(args: tuple[str, ...], log_in: LogIn, settings: Settings) -> None:
    if args:
        create_tenant("t")
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    page = "operator-tenant" if args else "operator-tenants"
    assert log_in("operator").get(reverse(page, args=args)).status_code == 503
