"""Models that became slower than their load explains, from what engines count and from requests alone."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.causes.heard import Place, heard
from metering.causes.latencies import LatencyShift, latency_shifts
from metering.causes.traffic import traffic
from metering.live import LiveScope
from metering.telemetry import rollups
from metering.telemetry.spans import MINUTE, Span, minute_of
from tests.metering.rows import insert_requests
from tests.metering.telemetry.sample_rows import insert_engines

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
LENGTH = 40  # minutes, up to the present
EVERY = timedelta(seconds=10)
NOW = datetime.now(UTC)  # of the test that runs: see `young`


@pytest.fixture(autouse=True)
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present is read from tables of the last half hour; this module may have been imported before."""
    monkeypatch.setattr(f"{__name__}.NOW", minute_of(datetime.now(UTC)) - timedelta(seconds=20))


class Engine:
    """An engine of an own model that counts; `counts(minute)` gives seconds per token and tokens per second."""

    def __init__(self) -> None:
        own = uuid.uuid4().hex[:8]
        self.node, self.model, self.region = f"n-{own}", f"m-{own}", f"r-{own}"

    def run(self, counts: Any) -> None:
        time, rows, sums = NOW - LENGTH * MINUTE, [], {"itl_sum_s": 0.0, "itl_count": 0.0}
        while time <= NOW:
            itl_s, tokens_s = counts((NOW - time) / MINUTE)
            tokens = tokens_s * EVERY.total_seconds()
            sums["itl_sum_s"] += itl_s * tokens
            sums["itl_count"] += tokens
            counted = {"itl_sum_s": sums["itl_sum_s"], "itl_count": int(sums["itl_count"])}
            same = {"generation_tokens": int(sums["itl_count"]), "prompt_tokens": int(sums["itl_count"]) * 4}
            none = {"prefill_sum_s": 0.0, "prefill_count": 0}
            rows.append({"time": time, "model": self.model, "region": self.region} | counted | same | none)
            time += EVERY
        insert_engines(self.node, *rows)
        rollups.write(Span(minute_of(NOW) - LENGTH * MINUTE, minute_of(NOW)))

    def shifts(self) -> list[LatencyShift]:
        scope = LiveScope(region=self.region)
        return latency_shifts(scope, heard(NOW, scope), traffic(NOW, scope))


def test_a_model_that_is_slower_under_the_same_load_is_named_within_a_minute() -> None:
    engine = Engine()
    engine.run(lambda back: (0.040 if back <= 1 else 0.020, 100.0))
    [shift] = engine.shifts()
    assert (shift.model, shift.measure, shift.everywhere) == (engine.model, "itl", True)
    assert shift.regions == (engine.region,)
    assert shift.before_ms == pytest.approx(20, rel=0.02)
    assert shift.now_ms == pytest.approx(40, rel=0.1)
    assert shift.load_ratio == pytest.approx(1.0, rel=0.05)
    assert abs(shift.since - (NOW - MINUTE)) <= MINUTE


def test_one_that_is_slower_as_its_load_has_doubled_is_not() -> None:
    engine = Engine()
    engine.run(lambda back: (0.040, 220.0) if back <= 5 else (0.020, 100.0))
    assert engine.shifts() == []


def test_one_that_goes_on_as_ever_is_not() -> None:
    engine = Engine()
    engine.run(lambda back: (0.020 + 0.001 * (int(back) % 3), 100.0 + int(back) % 7))
    assert engine.shifts() == []


def test_a_model_without_engines_that_report_is_judged_by_its_requests() -> None:
    own, tenant = uuid.uuid4().hex[:8], f"t-{uuid.uuid4().hex[:8]}"
    rows = [
        {
            "id": f"{own}-{back}-{n}",
            "time": minute_of(NOW) - back * MINUTE,
            "model": f"m-{own}",
            "tpot_ms": 45.0 if back < 3 else 20.0,
        }
        for back in range(60)
        for n in range(25)
    ]
    insert_requests(tenant, *rows)
    for scope in (LiveScope(model=f"m-{own}"), LiveScope(tenant=tenant)):
        # Of a customer only requests are told apart: engines are all there.
        found = latency_shifts(scope, heard(NOW, scope), traffic(NOW, scope))
        [shift] = [one for one in found if one.model == f"m-{own}"]
        assert (shift.measure, shift.since) == ("tpot", minute_of(NOW) - 2 * MINUTE)
        assert shift.ratio == pytest.approx(2.25, rel=0.05)


def test_what_is_heard_of_an_engine_is_what_it_counted_in_the_last_minute() -> None:
    engine = Engine()
    engine.run(lambda back: (0.030, 100.0))
    found = heard(NOW, LiveScope(region=engine.region))
    [one] = found.engines.values()
    assert one.place == Place(engine.model, engine.region, "")
    assert one.counted_s == pytest.approx(60, abs=10)
    assert one.counted["itl_count"] == pytest.approx(100 * one.counted_s, rel=0.02)
    assert found.engines_before[engine.node, "e0"].every == EVERY
