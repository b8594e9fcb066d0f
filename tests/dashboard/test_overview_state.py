"""The sentence on the page and in its stream, over a real ClickHouse."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from dashboard.operator import links
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters
from dashboard.operator.overview_page import PAGE
from dashboard.operator.pages import reading
from dashboard.operator.shelf import SHELF
from metering.public import annotate
from metering.telemetry import rollups
from metering.telemetry.spans import MINUTE, Span, minute_of
from tests.dashboard.conftest import LogIn
from tests.metering.telemetry.sample_rows import every, insert_engines, insert_gpus, own_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]
EVERY = timedelta(seconds=10)
LENGTH = 20 * MINUTE


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Readings are kept for seconds; a test is not to see another's."""
    for kept in (SHELF, ASIDE):
        kept.clear()
    yield
    for kept in (SHELF, ASIDE):
        kept.clear()


def region_with(**fields: object) -> str:
    """A region of its own with an engine on a GPU that has reported for twenty minutes; `fields`: of the engine's last three."""
    node, region, now = own_node(), f"r-{uuid.uuid4().hex[:8]}", datetime.now(UTC)
    times = every(EVERY, now - LENGTH, now)
    usual = {"model": "llama", "region": region, "running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.3}
    insert_engines(
        node,
        *(usual | {"time": time} | (fields if number >= len(times) - 3 else {}) for number, time in enumerate(times)),
    )
    insert_gpus(node, *({"time": time, "region": region, "power_w": 300.0, "power_limit_w": 700.0} for time in times))
    rollups.write(Span(minute_of(now - LENGTH), minute_of(now)))
    return region


def html_of(filters: Filters, part: str) -> str:
    """As a listener gets it once what is read aside is there."""
    reading(PAGE, filters, ())
    ASIDE.settle()
    return reading(PAGE, filters, ()).html[part]


def state(region: str) -> str:
    html = html_of(Filters(region=region), "state")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_calm_is_said_with_its_mark_and_leads_to_the_fleet() -> None:
    region = region_with()
    assert "All well: nothing binds" in state(region).replace(" : ", ": ")
    html = html_of(Filters(region=region), "state")
    assert 'data-finding="calm"' in html
    assert f'href="{reverse("operator-fleet")}?region={region}"' in html


def test_a_full_cache_is_said_in_the_stream() -> None:
    region = region_with(kv_cache_usage=0.97, waiting=8.0)
    assert f"Saturated: KV cache on llama in {region} since" in state(region).replace(" : ", ": ")


def test_a_deploy_that_was_told_is_known_to_the_sentence() -> None:
    region = region_with(kv_cache_usage=0.97, waiting=8.0)
    annotate("deploy", "v2 <b>", by="test", at=datetime.now(UTC) - timedelta(minutes=2), model="llama")
    assert "after the deploy at" in state(region)
    assert "v2 <b>" not in html_of(Filters(region=region), "state")


def test_the_page_is_there_before_the_state_is_read_and_has_it_once_it_is(log_in: LogIn) -> None:
    region = region_with()
    address = reverse("operator-overview"), {"region": region}
    assert "Reading the state" in log_in("operator").get(*address).content.decode()
    ASIDE.settle()
    # Engines would have to be read first.
    assert "Reading the state" in log_in("operator").get(*address).content.decode()
    assert "All well" in html_of(Filters(region=region), "state")
    assert "All well" in log_in("operator").get(*address).content.decode()


def test_tiles_of_the_fleet_are_those_of_the_region() -> None:
    html = html_of(Filters(region=region_with()), "tiles")
    power = re.sub(r"<[^>]+>|\s+", " ", html[html.index('data-tile="power"') :][:400])
    assert "0.30" in power
    assert "of 0.70 kW" in power


def test_compared_with_before_the_tiles_say_how_they_changed() -> None:
    region = region_with()
    html = html_of(Filters("15m", region=region, compare="previous"), "tiles")
    assert "on 15 minutes before" in html


@pytest.mark.parametrize("place", links.PLACES)
def test_every_page_that_a_finding_leads_to_is_there(place: str) -> None:
    assert links.address(place, Filters("6h", region="eu"), (("model", "m"),)).startswith("/")
    assert links.label(place)


def test_a_customer_who_is_named_leads_to_the_customers_page() -> None:
    found = links.address("tenants", Filters(), (("model", "m"), ("tenant", "acme")))
    assert found == f"{reverse('operator-tenant', args=['acme'])}?model=m"
    odd = links.address("tenants", Filters(), (("tenant", "a/b"),))
    assert odd == f"{reverse('operator-tenants')}?tenant=a%2Fb"
    assert links.address("", Filters()) == ""
