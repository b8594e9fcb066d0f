"""The capacity page: without data, with little, with enough; and the what-if."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from dashboard.operator.shelf import SHELF
from metering.capacity import storing, working
from metering.live import LiveScope
from metering.models import DemandForecast
from metering.public import energy_set_gpu_price, energy_set_price
from tests.dashboard import capacity_states as states
from tests.dashboard.conftest import LogIn
from tests.metering.rows import empty_tables

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]


@pytest.fixture(autouse=True)
def clean(clickhouse: object, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing.current_app, "send_task", lambda name, **_: None)
    states.forget()
    SHELF.clear()


@pytest.fixture
def provided(db: None) -> None:
    states.provide_usual(states.now())


def opened(log_in: LogIn, **query: str) -> str:
    SHELF.clear()
    response = log_in("operator").get(reverse("operator-capacity"), query)
    assert response.status_code == 200, response.content[-2000:]
    return str(response.content.decode())


def text(page: str) -> str:
    page = re.sub(r"<script.*?</script>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def figures(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page)
    assert found is not None
    return dict(json.loads(found[1]))


def test_who_looks_first_is_told_that_it_is_being_worked_out(log_in: LogIn) -> None:
    page = text(opened(log_in))
    assert "The forecast is being worked out." in page
    assert "What the fleet can take is being worked out." in page
    assert storing.pending(datetime.now(UTC)) == ([LiveScope()], True)


@pytest.mark.parametrize(
    ("hours", "says"), [(0, ""), (1, "1 hour with next to no request"), (26, "26 hours with next to no")]
)
def test_it_says_how_much_of_the_history_was_taken_for_an_outage(
    log_in: LogIn, provided: None, hours: int, says: str
) -> None:
    row = DemandForecast.objects.get(**storing.names(LiveScope()))
    row.found["outage_h"] = hours
    row.save()
    page = text(opened(log_in))
    assert says in page
    assert ("as busy as the same hours of the weeks around" in page) == bool(hours)


def test_without_any_event_it_says_how_to_send_one(log_in: LogIn) -> None:
    states.work_out(states.now())
    page = text(opened(log_in))
    assert "No event has arrived yet" in page
    assert "No engine or GPU has reported yet" in page
    assert "no forecast yet" in page


def test_two_days_of_history_are_too_little_and_it_says_until_when(log_in: LogIn) -> None:
    states.provide(states.now(), days=2, telemetry_days=0)
    page = text(opened(log_in))
    there = states.last_hour(states.now()) + timedelta(days=1)
    assert (
        f"48 hours of history are too little: a forecast takes three days, so there will be one from {there:%-d %b %H:%M} UTC."
        in page
    )


def test_five_days_of_history_make_a_forecast_without_days_of_the_week(log_in: LogIn) -> None:
    states.provide(states.now(), days=5, telemetry_days=0.5)
    page = text(opened(log_in))
    assert (
        "From 5 days of history: a daily profile of hours; two weeks of history are needed to know the days of the week."
        in page
    )
    assert "It has not been back-tested yet: that takes 22 days of history." in page
    assert "blocks of ten minutes" in page


@pytest.mark.usefixtures("provided")
def test_it_says_which_limit_comes_first_and_how_good_the_forecast_was(log_in: LogIn) -> None:
    page = text(opened(log_in))
    assert "KV cache of llama-70b in eu-a is reached first" in page
    assert re.search(r"reached first: \d+ \w+ \d{4}, in \d+ days\. 90 % interval: \d+ \w+ \d{4}", page)
    assert re.search(
        r"Back-tested on held-out days: 11 forecasts of 7 days, over the last four weeks\. Mean absolute error [\d.]+ % of the output "
        r"tokens, [\d.]+ % better than the seasonal-naive forecast \(the same hour a week before, [\d.]+ %\); MASE 0\.\d\d\. "
        r"The 90 % interval held [\d.]+ % of those hours, and [\d.]+ % of the days' busiest hours\.",
        page.replace("&#x27;", "'"),
    )
    assert "no long queue up to the highest load" in page
    assert "sum of the GPUs' limits" in page.replace("&#x27;", "'")


@pytest.mark.usefixtures("provided")
def test_charts_hold_history_forecast_interval_and_limits(log_in: LogIn) -> None:
    found = figures(opened(log_in))
    demand = {trace["uid"]: trace for trace in found["chart-demand"]["data"]}
    assert (len(demand["demand.seen"]["y"]), len(demand["demand.median"]["y"])) == (336, 168)
    assert demand["demand.low"]["y"][5] < demand["demand.median"]["y"][5] < demand["demand.most"]["y"][5]
    peaks = {trace["uid"]: trace for trace in found["chart-peaks"]["data"]}
    assert (len(peaks["peaks.seen"]["y"]), len(peaks["peaks.median"]["y"])) == (70, 90)
    assert peaks["peaks.kv_cache"]["name"] == "KV cache: llama-70b in eu-a"
    assert {trace["uid"] for trace in found["chart-use"]["data"]} >= {"use.kv_cache", "use.compute", "use.power"}


@pytest.mark.usefixtures("provided")
def test_filters_choose_pools_and_demand(log_in: LogIn) -> None:
    page = opened(log_in, region="us", model="qwen-235b")
    assert "qwen-235b in us-a" in text(page).split("Limits of each model")[1].split("What if")[0]
    assert "llama-70b in" not in text(page).split("Limits of each model")[1].split("What if")[0]
    waiting = text(opened(log_in, tenant="acme"))
    assert "The forecast is being worked out." in waiting
    working.demand(LiveScope(tenant="acme"), states.now(), lambda text: None)
    assert "There has been no request of this kind in the last 400 days." in text(opened(log_in, tenant="acme"))


@pytest.mark.usefixtures("provided")
def test_what_if_twenty_trillion_tokens_a_day(log_in: LogIn) -> None:
    energy_set_gpu_price(product="*", region="*", per_gpu_hour="2", currency="USD")
    energy_set_price(region="*", per_kwh="0.10", currency="USD")
    page = text(opened(log_in, tokens="20T"))
    answer = page.split("What if")[1]
    found = re.search(
        r"20\.0 T tokens a day: ([\d,]+) GPUs needed for the busiest hour within 30 days, 25 there\.", answer
    )
    assert found is not None
    assert int(found[1].replace(",", "")) > 100_000
    assert re.search(
        r"A day costs ([\d,.]+) USD as it is, [\d,.]+ USD so changed, and ([\d,.]+) USD with the GPUs needed\.",
        answer,
    )


@pytest.mark.usefixtures("provided")
def test_what_if_nodes_are_added_and_the_cap_is_lowered(log_in: LogIn) -> None:
    before = text(opened(log_in, growth="1"))
    more = text(opened(log_in, nodes="4", pool="llama-70b|eu|eu-a", cap="1", site="eu|eu-a"))
    assert "25 there" in before
    assert "57 there" in more  # four nodes of eight GPUs
    answer = more.split("What if")[1]
    assert re.search(r"eu-a [\d.]+ 1\.00 cap [\d,]+ % over now", answer)


@pytest.mark.usefixtures("provided")
def test_what_if_a_model_moves_where_no_engine_serves_it(log_in: LogIn) -> None:
    answer = text(opened(log_in, move="bge-m3|eu|eu-a", into="us|us-a")).split("What if")[1]
    assert re.search(r"bge-m3 in us-a 0 KV cache . no GPUs over", answer)


@pytest.mark.usefixtures("provided")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"nodes": "3"}, "Choose which model the added nodes are for."),
        ({"cap": "3"}, "Choose the cluster whose power cap changes."),
        ({"move": "bge-m3|eu|eu-a"}, "Choose the cluster to move the requests to."),
        ({"nodes": "3", "pool": "nobody|x|y"}, "25 there"),
    ],
)
def test_a_what_if_that_lacks_something_says_what(log_in: LogIn, query: dict[str, str], said: str) -> None:
    assert said in text(opened(log_in, **query))


NO_NUMBERS = (
    ("tokens", "many"),
    ("nodes", "1.5"),
    ("growth", "-1"),
    ("cached", "100"),
    ("tokens", "1e99"),
    ("nodes", "nan"),
)


@pytest.mark.parametrize(("name", "value"), NO_NUMBERS)
def test_what_is_no_number_is_refused_with_the_reason(log_in: LogIn, name: str, value: str) -> None:
    SHELF.clear()
    response = log_in("operator").get(reverse("operator-capacity"), {name: value})
    assert response.status_code == 400
    assert re.search(r"is no number|is no whole number|is not between", response.content.decode())


@pytest.mark.usefixtures("provided")
def test_the_form_keeps_the_filters_and_clearing_it_keeps_them_too(log_in: LogIn) -> None:
    page = opened(log_in, region="eu", measure="input", tokens="5G")
    form = page.split('aria-label="What if"')[1].split("</form>")[0]
    assert '<input type="hidden" name="region" value="eu">' in form
    assert '<input type="hidden" name="measure" value="input">' in form
    assert 'value="5G"' in form
    assert 'href="?region=eu&amp;measure=input#what-if"' in form


@pytest.mark.usefixtures("provided")
def test_names_from_events_are_text(log_in: LogIn) -> None:
    row = storing.fleet_outlook(states.now())
    assert row.made_at is not None
    empty_tables("service_hour")
    page = opened(log_in, model="<b>x</b>")
    assert "<b>x</b>" not in page
