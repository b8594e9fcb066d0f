"""What every page of the operator has from its frame, with pages of the test's own."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.access import Visitor
from dashboard.operator import choices, pages
from dashboard.operator.feed import Reading
from dashboard.operator.filters import Filters, UnknownFilter
from dashboard.operator.pages import Ids, NotThere, Page, Shown, told
from dashboard.operator.registry import PAGES
from dashboard.operator.shelf import SHELF
from metering.annotations import annotate
from metering.contracts import TenantInfo
from metering.demo import state
from metering.public import ClickHouseUnavailable
from tests.dashboard.conftest import LogIn

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
SEEN: list[tuple[Filters, Ids]] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    SHELF.clear()
    SEEN.clear()


def nothing(filters: Filters, ids: Ids) -> Shown:
    SEEN.append((filters, ids))
    return Shown(AT, {})


def page(**fields: Any) -> Page:
    usual = {"key": "leakage", "title": "A <page>", "template": "operator/_page.html", "section": "ingest"}
    return Page(**(usual | {"read": nothing, "parts": {}} | fields))


def opened(one: Page, query: str = "", headers: dict[str, str] | None = None, **ids: str) -> HttpResponse:
    request = RequestFactory().get(f"/there/?{query}", headers=headers or {})
    request.user = type("User", (), {"is_authenticated": True, "get_username": lambda self: "ada"})()
    request.tallywatt_visitor = Visitor("ada", "operator", None)  # type: ignore[attr-defined]
    response = pages.view(one)(request, **ids)
    assert isinstance(response, HttpResponse)
    return response


@pytest.mark.usefixtures("clickhouse", "db")
def test_a_page_that_offers_longer_ranges_reads_the_next_longer_one_and_carries_what_was_chosen() -> None:
    text = opened(page(ranges=("24h", "7d")), "range=6h").content.decode()
    assert SEEN[0][0].range == "24h"
    assert re.findall(r'name="range" id="range-(\w+)"[^>]*checked', text) == ["24h"]
    assert 'data-live="/operator/live/leakage/?range=6h"' in text


@pytest.mark.usefixtures("clickhouse", "db")
def test_a_page_without_a_range_or_a_scope_has_no_form() -> None:
    assert 'id="filters"' not in opened(page(ranges=(), scope=(), compares=False)).content.decode()


@pytest.mark.usefixtures("clickhouse", "db")
def test_filters_that_a_page_does_not_heed_are_carried_along() -> None:
    text = opened(page(scope=("model",), ranges=()), "tier=batch&range=7d&model=m").content.decode()
    assert '<input type="hidden" name="tier" value="batch">' in text
    assert 'type="hidden" name="range" value="7d"' in text
    assert '<option value="m" selected>m</option>' in text


@pytest.mark.usefixtures("clickhouse", "db")
def test_a_form_is_answered_with_the_shortest_address() -> None:
    query = "range=6h&from=&to=&region=&tenant=a%26b&compare="
    answer = opened(page(), query, {"HX-Request": "true"})
    assert answer.headers["HX-Push-Url"] == "/there/?range=6h&tenant=a%26b"
    assert "HX-Push-Url" not in opened(page(), query).headers


@pytest.mark.usefixtures("db")
def test_a_page_that_cannot_be_read_keeps_its_filters_and_its_stream() -> None:
    def away(filters: Filters, ids: Ids) -> Shown:
        raise ClickHouseUnavailable("away")

    answer = opened(page(read=away), "range=7d&tenant=acme")
    text = answer.content.decode()
    assert answer.status_code == 503
    assert "ClickHouse does not answer" in text
    assert " data-trouble" in text
    assert '<option value="acme" selected>acme</option>' in text
    assert "range=7d&amp;tenant=acme" in text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("name", ["gone", "x" * 300, "a\x00b"])
def test_what_a_page_is_about_may_not_be_there(name: str) -> None:
    def gone(filters: Filters, ids: Ids) -> Shown:
        raise NotThere("It is gone.")

    assert opened(page(read=gone), node=name).status_code == 404


@pytest.mark.usefixtures("clickhouse", "db")
def test_numbers_of_charts_cannot_end_their_element() -> None:
    def named(filters: Filters, ids: Ids) -> Shown:
        return Shown(AT, {}, {"chart": {"data": [{"name": "</script><b>", "y": [float("nan")]}]}})

    text = opened(page(read=named)).content.decode()
    assert r'{"chart":{"data":[{"name":"\u003C/script\u003E\u003Cb\u003E","y":[null]}]}}</script>' in text


def test_whatever_a_reading_raises_its_listeners_are_told(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Reading:
        raise RuntimeError("a fault")

    assert told("x", broken).trouble == "The figures cannot be read. The server's log has the reason."
    assert "a fault" in caplog.text


@pytest.mark.usefixtures("db")
def test_a_stream_takes_as_many_names_as_its_page_has() -> None:
    assert pages.words("overview") == 0
    assert pages.words("gpu") == 2
    assert all(pages.words(key) >= 0 for key in PAGES)


def test_many_customers_are_typed_and_few_are_in_a_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    few = dict.fromkeys(("region", "cluster", "model", "tier"), ())
    monkeypatch.setattr(choices, "_offered", lambda: few | {"tenant": (("a", "Acme"),)})
    found = choices.offered(Filters(tenant="a"), ["tenant"])["tenant"]
    assert (found.typed, found.values, found.called) == (False, (("a", "Acme"),), "Acme")
    SHELF.clear()
    many = tuple((f"t{n}", f"T {n}") for n in range(choices.TENANTS_OFFERED + 1))
    monkeypatch.setattr(choices, "_offered", lambda: few | {"tenant": many})
    found = choices.offered(Filters(tenant="elsewhere"), ["tenant"])["tenant"]
    assert (found.typed, found.values) == (True, (("elsewhere", "elsewhere"),))


@pytest.mark.usefixtures("db")
def test_what_happened_is_listed_where_it_concerns_what_is_shown(tenant: TenantInfo, log_in: LogIn) -> None:
    annotate("deploy", "v2 <b>", by="ada", model="m")
    annotate("note", "for all", by="ada")
    client = log_in("operator")

    def listed(**query: str) -> list[str]:
        SHELF.clear()
        text = client.get(reverse("operator-overview"), query).content.decode()
        return re.findall(r"<span data-text>(.*?)</span>", text)

    assert listed() == ["for all", "v2 &lt;b&gt; (m)"]
    assert listed(model="other") == ["for all"]
    assert listed(**{"from": "2026-03-01T10:00", "to": "2026-03-01T11:00"}) == []


def test_an_unknown_option_is_refused_by_its_label() -> None:
    with pytest.raises(UnknownFilter, match="latency in tables"):
        Filters.read({"latency": "x"}, PAGES["overview"].options)


@pytest.mark.usefixtures("clickhouse", "transactional_db")
def test_a_demo_says_that_its_newest_hours_are_still_being_made_and_when_they_are_there(
    settings: Settings, tmp_path: Path
) -> None:
    settings.DEMO, settings.DATA_DIR = True, tmp_path
    leakage = page()
    assert _said_of_the_demo(leakage) == ("", "")  # none was made yet

    demo = state.begin(tmp_path, datetime.now(UTC))
    demo.covered_until = datetime.now(UTC) - timedelta(minutes=90)
    demo.save()
    SHELF.clear()
    until = f"traffic up to {demo.covered_until:%Y-%m-%d %H:%M} UTC"
    for words in _said_of_the_demo(leakage):
        assert until in words
        assert "The newest figures are missing" in words

    demo.covered_until = datetime.now(UTC) - timedelta(seconds=20)
    demo.save()
    SHELF.clear()
    assert _said_of_the_demo(leakage) == ("", "")


@pytest.mark.usefixtures("clickhouse", "db")
def test_nobody_elses_page_says_anything_of_a_demo(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    state.begin(tmp_path, datetime.now(UTC)).save()
    assert "demo-clock" not in opened(page()).content.decode()
    assert "demo-clock" not in pages.reading(page(), Filters.read({}), ()).html


def _said_of_the_demo(one: Page) -> tuple[str, str]:
    """In the page as it is opened, and in what its stream sends."""
    found = re.search(r'<span id="demo-clock">(.*?)</span>', opened(one).content.decode(), re.DOTALL)
    assert found
    return found[1].strip(), pages.reading(one, Filters.read({}), ()).html["demo-clock"].strip()
