"""The page that compares engine counters with events."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator.shelf import SHELF
from tests.dashboard.conftest import LogIn
from tests.metering.rows import empty_tables
from tests.metering.telemetry.reconciliation.windows import hour_of, insert, recent_hour, settle

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

MADE = {"engine_prefill_tokens": 600_000.0, "engine_decode_tokens": 400_000.0, "engine_requests_finished": 1000.0}
ALL = {"event_prefill_tokens": 600_000.0, "event_decode_tokens": 400_000.0, "event_requests": 1000.0}
LEAKS = {"event_prefill_tokens": 588_000.0, "event_decode_tokens": 392_000.0, "event_requests": 980.0}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    SHELF.clear()
    empty_tables("energy_windows", "reconciliation_hours")


def opened(log_in: LogIn, **query: str) -> str:
    response = log_in("operator").get(reverse("operator-leakage"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def row(page: str, engine: str) -> str:
    found = re.search(rf"<tr><th[^>]*>{re.escape(engine)}(?!\w).*?</tr>", page, re.DOTALL)
    assert found is not None
    return text(found.group(0))


def test_an_engine_that_leaks_is_on_alert_on_top_and_first_in_the_table(log_in: LogIn) -> None:
    hour = recent_hour()
    insert(hour_of("n1", hour, **MADE, **ALL, engine="tight"))
    insert(hour_of("n1", hour, **MADE, **LEAKS, engine="leaky <1>"))
    settle(hour + timedelta(hours=1))
    page = opened(log_in)
    assert "Engine leaky &lt;1&gt; on n1 (m): 2.0 % of what it produced has no event, 20,000 tokens" in page
    assert page.index(">leaky &lt;1&gt; ") < page.index(">tight ")
    assert "1,000,000 980,000 20,000 2.00 % 0 0 % 1,000 0 980 1 h" in row(page, "leaky &lt;1&gt;")
    assert "On alert" in row(page, "leaky &lt;1&gt;")
    assert "On alert" not in row(page, "tight")
    assert "2,000,000 1,980,000 20,000 1.00 %" in row(page, "All engines")


def test_an_incomplete_hour_is_left_out_and_says_why(log_in: LogIn) -> None:
    hour = recent_hour(1)
    insert(hour_of("n1", hour, **MADE, **LEAKS, engine_restarts=1))
    insert(hour_of("n1", hour + timedelta(hours=1), **MADE, **ALL))
    settle(hour + timedelta(hours=2))
    page = opened(log_in)
    assert "No engine is on alert." in page
    assert re.search(r"1 h 1 h: its counters began anew", row(page, "e1"))
    assert "1,000,000 1,000,000 0 0 %" in row(page, "e1")


def test_without_a_comparable_hour_there_are_dashes_and_not_noughts(log_in: LogIn) -> None:
    hour = recent_hour()
    insert(hour_of("n1", hour, minutes=30, **MADE, **ALL))
    settle(hour + timedelta(hours=1))
    assert re.search(r"e1 on n1 m (– ){9}0 h 1 h: not seen for all of the hour", row(opened(log_in), "e1"))  # noqa: RUF001


def test_the_trend_has_a_point_for_every_hour_of_the_range(log_in: LogIn) -> None:
    hour = recent_hour()
    insert(hour_of("n1", hour, **MADE, **LEAKS))
    settle(hour + timedelta(hours=1))
    response = log_in("operator").get(reverse("operator-leakage"), {"range": "7d"})
    unbilled = response.context["figures"]["chart-leakage"]["data"][0]
    assert len(unbilled["x"]) == 7 * 24
    assert [y for y in unbilled["y"] if y is not None] == [2.0]
    assert unbilled["x"][-1] == hour.isoformat()


def test_what_is_simulated_is_labelled(log_in: LogIn) -> None:
    hour = recent_hour()
    insert(hour_of("n1", hour, **MADE, **ALL, simulated=True))
    settle(hour + timedelta(hours=1))
    page = opened(log_in)
    assert "Simulated" in row(page, "e1")
    assert "made up by the simulator" in page


def test_before_the_first_hour_it_says_what_is_needed(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "Nothing to compare yet" in page
    assert "docs/agent.md" in page


def test_a_range_in_which_nothing_was_seen_is_told(log_in: LogIn) -> None:
    settle(recent_hour() + timedelta(hours=1))
    assert "No engine was seen in this range" in opened(log_in)


def test_a_range_that_there_is_not_is_400(log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-leakage"), {"range": "1y"}).status_code == 400


def test_it_says_that_clickhouse_is_down(log_in: LogIn, settings: Settings) -> None:
    settle(recent_hour())
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    response = log_in("operator").get(reverse("operator-leakage"))
    assert response.status_code == 503
    assert b"ClickHouse does not answer." in response.content
