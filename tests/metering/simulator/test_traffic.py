"""Arrivals: the rate's mean, its rhythm, the script's factors, and gaps with the wanted coefficient of variation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metering.simulator.plan import Tenant, Workload
from metering.simulator.pool import ARRIVED, CACHED, CUT, INPUT, OUTPUT, REASONING, Floats
from metering.simulator.script import Change
from metering.simulator.traffic import LONGEST_OUTPUT, DrawnTraffic, rate_rps
from tests.metering.simulator.plans import CHAT, HOUR_MS, START_MS, one_engine, tenant


def arrivals(one: Tenant, seconds: float, **fields: Any) -> Floats:
    return DrawnTraffic(one_engine(one, **fields)).until(seconds)


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gaps_have_the_mean_and_variation_of_the_plan(cv: float) -> None:
    gaps = np.diff(arrivals(tenant("t", 5.0, cv=cv), 7_200)[ARRIVED])

    assert gaps.mean() == pytest.approx(1 / 5.0, rel=0.05 * max(cv, 1))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.08)


def test_the_day_has_its_peak_and_its_night() -> None:
    """At 13:00, peak at 14: nearly 1.5 times the mean; eleven hours later a half of it; on Sundays a tenth of that."""
    one = tenant("t", 10.0, peak_hour=14.0, daily_swing=0.5, weekend=0.1)

    assert rate_rps(one, (), START_MS, 3600) == pytest.approx(15.0)
    assert rate_rps(one, (), START_MS, 13 * 3600) == pytest.approx(5.0)
    assert rate_rps(one, (), START_MS + 5 * 24 * HOUR_MS, 3600) == pytest.approx(1.5)


def test_a_change_of_rate_holds_for_its_time() -> None:
    change = Change("tenant_rate", "t", 600, 1200, 4)
    times = arrivals(tenant("t", 5.0), 1800, changes=(change,))[ARRIVED]

    counts = np.histogram(times, [0, 600, 1200, 1800])[0]
    assert counts[1] / (counts[0] + counts[2]) == pytest.approx(2, rel=0.1)


def test_a_tenant_can_be_silent_for_a_while() -> None:
    change = Change("tenant_rate", "t", 300, 900, 0)
    times = arrivals(tenant("t", 5.0), 1800, changes=(change,))[ARRIVED]

    assert not ((times >= 300) & (times < 900)).any()
    assert (times >= 900).sum() > 4_000


def test_lengths_are_within_what_a_request_can_have() -> None:
    wild = Workload(3_000, 2.5, 3_000, 2.0, cache_hits=0.9, cached_share=1.0, reasoning=0.5)
    rows = arrivals(tenant("t", 20.0, workload=wild), 1200)

    assert rows[INPUT].min() >= 1
    assert rows[OUTPUT].min() >= 1
    assert rows[OUTPUT].max() == LONGEST_OUTPUT
    assert (rows[CUT] == 1).any()
    assert (rows[CACHED] < rows[INPUT]).all()  # the last token is always computed
    assert (rows[CACHED] % 16 == 0).all()
    assert (rows[REASONING] <= rows[OUTPUT]).all()
    assert np.median(rows[INPUT]) == pytest.approx(3_000, rel=0.05)


def test_a_tenant_without_a_workload_needs_a_trace() -> None:
    with pytest.raises(ValueError, match="come from a trace"):
        arrivals(replace(tenant("t", 1.0), workload=None), 10)


def test_asking_twice_gives_nothing_twice() -> None:
    traffic = DrawnTraffic(one_engine(tenant("t", 5.0, workload=CHAT)))

    first, again, rest = traffic.until(900), traffic.until(900), traffic.until(1800)
    assert again.shape[1] == 0
    assert first[ARRIVED].max() < 900 <= rest[ARRIVED].min()
