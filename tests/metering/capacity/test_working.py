"""Who asks gets an answer from a worker, once; what is old is worked out anew; and nothing is fitted where pages are served."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from metering.capacity import storing, working
from metering.capacity.demands import Asked
from metering.capacity.fleet import Fleet
from metering.capacity.storing import demand_outlook, fleet_outlook, keep_demand, keep_fleet, pending, scopes_due
from metering.clickhouse.client import ClickHouseUnavailable
from metering.live import LiveScope
from metering.models import DemandForecast, FleetCapacity
from tests.metering.capacity.rows import insert_demand, insert_pool, weekly

pytestmark = pytest.mark.usefixtures("clickhouse", "db")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were announced."""
    found: list[str] = []
    monkeypatch.setattr("celery.current_app.send_task", lambda name, **_: found.append(name))
    monkeypatch.setattr(storing.current_app, "send_task", lambda name, **_: found.append(name))
    return found


@pytest.fixture
def model() -> str:
    return f"m-{uuid.uuid4().hex[:10]}"


def now() -> datetime:
    return datetime.now(UTC).replace(minute=30, second=0, microsecond=0)


def quiet(text: str) -> None:
    pass


def test_the_first_who_looks_asks_a_worker_and_the_others_wait_for_it(model: str, sent: list[str]) -> None:
    scope, at = LiveScope(model=model), now()
    assert demand_outlook(scope, at).made_at is None
    assert demand_outlook(scope, at + timedelta(seconds=2)).made_at is None
    assert sent == ["metering.capacity"]
    assert pending(at) == ([scope], False)
    demand_outlook(scope, at + storing.ASKED_AGAIN)
    assert len(sent) == 2


def test_a_forecast_is_kept_with_its_history_and_its_back_test(model: str, sent: list[str]) -> None:
    at = now()
    until = at.replace(minute=0)
    values = weekly(50 * 24, 3.6e6)
    insert_demand(model, until - 50 * 24 * HOUR, values, values / 4, region="eu")
    working.demand(LiveScope(model=model), at, quiet)
    found = demand_outlook(LiveScope(model=model), at)
    assert (found.history_h, found.until, found.first) == (1200, until, until - 1200 * HOUR)
    output = found.measures["output"]
    assert output.forecast is not None
    assert output.score is not None
    assert output.forecast.begin == until
    assert output.forecast.shape.medians[:24].sum() == pytest.approx(values[-168:-144].sum() / 4, rel=0.1)
    assert output.score.better_by > 0
    assert (len(output.peaks), len(output.recent)) == (50, 336)
    assert output.recent[-1] == pytest.approx(values[-1] / 4, rel=1e-3)
    assert sent == []


def test_an_outage_is_told_and_left_out_of_the_forecast_but_not_of_what_came(model: str) -> None:
    at = now()
    until = at.replace(minute=0)
    values = weekly(50 * 24, 3.6e6)
    kept = values.copy()
    kept[-30:-2] = 0
    insert_demand(model, until - 50 * 24 * HOUR, kept, kept / 4, region="eu")
    working.demand(LiveScope(model=model), at, quiet)
    found = demand_outlook(LiveScope(model=model), at)
    assert (found.history_h, found.outage_h) == (1200, 28)
    output = found.measures["output"]
    assert output.forecast is not None
    assert output.forecast.shape.medians[:24].sum() == pytest.approx(values[-168:-144].sum() / 4, rel=0.1)
    assert output.recent[-30:-2] == (0,) * 28


def test_other_filters_choose_other_hours(model: str) -> None:
    at = now()
    start = at.replace(minute=0) - 100 * HOUR
    for region, cluster in (("eu", "eu-a"), ("us", "us-a")):
        insert_demand(model, start, np.full(100, 1000.0), np.full(100, 10.0), region=region, cluster=cluster)
    every = working.history(LiveScope(model=model), start, start + 100 * HOUR)
    one = working.history(
        LiveScope(model=model, region="eu", cluster="eu-a", tier="standard"), start, start + 100 * HOUR
    )
    nobody = working.history(LiveScope(model=model, tenant="nobody"), start, start + 100 * HOUR)
    assert (every[:, 0].sum(), one[:, 0].sum(), nobody[:, 0].sum()) == (200_000, 100_000, 0)


def test_too_little_history_is_kept_as_such(model: str) -> None:
    at = now()
    insert_demand(model, at.replace(minute=0) - 20 * HOUR, np.full(20, 1000.0), np.full(20, 10.0))
    working.demand(LiveScope(model=model), at, quiet)
    found = demand_outlook(LiveScope(model=model), at)
    assert (found.history_h, found.measures["input"].forecast) == (20, None)
    demand_outlook(LiveScope(model=model), at + 2 * HOUR)  # it grows fast: an hour later there is more to know
    assert pending(at + 2 * HOUR)[0] == [LiveScope(model=model)]


def test_what_is_asked_for_comes_first_and_what_is_due_after_it(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at, done = now(), list[str]()
    monkeypatch.setattr(
        working, "demand", lambda scope, when, say: done.append(scope.model or "all") or keep(scope, when)
    )
    monkeypatch.setattr(working, "fleet", lambda when, say: done.append("fleet"))
    monkeypatch.setattr(working, "places", lambda when: [LiveScope(), LiveScope(model="due")])
    keep(LiveScope(model="fresh"), at - HOUR)
    demand_outlook(LiveScope(model=model), at)
    assert working.work(lambda: at, quiet) == 4
    assert done == ["fleet", model, "all", "due"]


def keep(scope: LiveScope, at: datetime) -> None:
    keep_demand(scope, at, {"history_h": 0, "measures": {}})


def test_what_was_worked_out_is_asked_for_again_after_history_came_behind_it(model: str) -> None:
    at, scope = now(), LiveScope(model=model)
    keep_demand(scope, at, {"measures": {}})
    keep_fleet(Fleet(), at)
    assert pending(at) == ([], False)
    storing.ask_again(at + timedelta(seconds=1))
    scopes, fleet = pending(at + timedelta(seconds=2))
    assert scope in scopes
    assert fleet


def test_what_nobody_looks_at_is_forgotten(model: str) -> None:
    at = now()
    keep(LiveScope(tenant="gone", model=model), at - 20 * timedelta(days=1))
    keep(LiveScope(tenant="watched", model=model), at - timedelta(days=2))
    assert LiveScope(tenant="watched", model=model) in scopes_due([], at, working.RENEWED)
    assert not DemandForecast.objects.filter(tenant="gone", model=model).exists()


def test_the_fleet_is_kept_with_the_demand_of_its_pools_and_the_caps_of_now(
    model: str, settings: Any, sent: list[str]
) -> None:
    at = now()
    hour = at.replace(minute=0)
    region = f"r-{model}"
    load = 0.5 + 0.2 * np.sin(np.arange(24 * 15) / 24 * 2 * np.pi)
    insert_demand(
        model, hour - 15 * 24 * HOUR, load * 8000 * 3600, load * 2000 * 3600, region=region, cluster=f"c-{model}"
    )
    insert_pool(model, hour - 96 * HOUR, load[-96:], node=f"n-{model}", region=region, cluster=f"c-{model}")
    assert fleet_outlook(at).made_at is None
    assert sent == ["metering.capacity"]
    working.fleet(at, quiet)
    working.demand(LiveScope(model=model, region=region), at, quiet)
    settings.CAPACITY_POWER_KW = {f"c-{model}": 1.5}
    found = fleet_outlook(at)
    assert found.made_at == at
    assert isinstance(found.demands[model, region], Asked)
    site = next(each for each in found.fleet.sites if each.region == region)
    assert (site.cap_w, site.allowed_w) == (1500, 1500)


def test_a_fleet_that_has_not_reported_says_so() -> None:
    storing.keep_fleet(Fleet(missing=("No engine or GPU has reported yet.",)), now())
    assert fleet_outlook(now()).fleet.missing == ("No engine or GPU has reported yet.",)
    assert FleetCapacity.objects.count() == 1


def test_the_task_starts_a_process_of_its_own_if_there_is_anything_to_do(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    ran: list[Any] = []
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(working.subprocess, "run", lambda words, **options: ran.append((words, options)) or done)
    at = now()
    demand_outlook(LiveScope(model=model), at)
    assert working.run_apart(at)
    (words, options) = ran[0]
    assert words == [sys.executable, "-m", "django", "plan_capacity"]
    assert options["env"]["DJANGO_SETTINGS_MODULE"] == "config.settings"
    DemandForecast.objects.all().delete()
    storing.keep_fleet(Fleet(), at)
    keep(LiveScope(), at)
    assert not working.run_apart(at)


def test_the_command_works_out_what_is_due(
    monkeypatch: pytest.MonkeyPatch, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.nice", lambda by: 0)
    monkeypatch.setattr(working, "places", lambda when: [LiveScope(model=model)])
    monkeypatch.setattr(working, "fleet", lambda when, say: say("capacity of 0 pools"))
    call_command("plan_capacity", "--all")
    assert "worked out" in capsys.readouterr().out
    assert DemandForecast.objects.get(model=model).made_at is not None


def test_a_database_that_does_not_answer_is_an_error_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ClickHouseUnavailable("gone")

    monkeypatch.setattr(working, "measured", fail)
    with pytest.raises(ClickHouseUnavailable):
        working.fleet(now(), quiet)


def test_where_pages_are_served_nothing_that_fits_is_loaded() -> None:
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; import django; django.setup(); "
        "import config.urls, config.asgi, metering.tasks, sys; "
        "sys.exit(any(name in sys.modules for name in ('statsmodels', 'pandas', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
