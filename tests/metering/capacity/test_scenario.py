"""What a change does to the busiest hour, the dates, and the GPUs that are needed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.capacity.costs import day_cost
from metering.capacity.demands import Asked
from metering.capacity.fleet import Fleet, Pool, Site
from metering.capacity.forecast import WEEKLY, Forecast, Shape
from metering.capacity.limits import ESTIMATED, FAR, KV_CACHE, UNSEEN, Limit, Line
from metering.capacity.scenario import Change, Outlook, PoolOutlook, Use, outlook
from metering.telemetry.energy.tariffs import GpuHourPrice, KwhPrice, Tariffs

NOW = datetime(2026, 3, 2, tzinfo=UTC)
EU, US = ("eu", "eu-a"), ("us", "us-a")
DAYS = 60


def asked(a_second: float, growth_a_day: float = 0.0) -> Asked:
    """The same at every hour: input so much, output half of it; the 90 % interval is 10 % to either side."""

    def one(rate: float) -> Forecast:
        level = np.log(rate * 3600) + growth_a_day * np.arange(DAYS)
        shape = Shape(WEEKLY, level, np.full(DAYS, 1e-6), np.zeros(168), 1e-6, 1e-9)
        off = (-0.1, -0.04, 0.04, 0.1)
        return Forecast(NOW, shape, off, 0.0, off)

    return Asked(one(a_second), one(a_second / 2))


def pool(model: str = "m", place: tuple[str, str] = EU, gpus: float = 8, **fields: object) -> Pool:
    """KV cache: full at 1,000 computed prompt and 500 output tokens a second and GPU; half of the prompt is cached."""
    line = Line(0.0, 0.5e-3, 1e-3)
    limit = Limit(KV_CACHE, ESTIMATED, 500, 30_000, 1000.0, 1500.0, 1400.0, 1600.0, 0.01, line)
    usual = Pool(
        model, *place, gpus, gpus / 4, gpus / 4, ("H100",), 700.0, 0.5, 1.0, 1.0, (model, place[0]), 2 / 3, 1000.0,
        {KV_CACHE: limit}, Line(200.0, 0.1, 0.6), 0, 1, 3600, False,
    )  # fmt: skip
    return replace(usual, **fields)  # type: ignore[arg-type]


def site(place: tuple[str, str] = EU, gpus: int = 8) -> Site:
    return Site(*place, gpus, gpus * 700.0, 0.0, gpus * 300.0)


FLEET = Fleet((pool(),), (site(), site(US)))
DEMANDS = {("m", "eu"): asked(8000)}  # 500 computed and 500 output tokens a second and GPU: 0.75 of the KV cache


def only(found: Outlook) -> tuple[PoolOutlook, Use]:
    (one,) = found.pools
    return one, one.uses[0]


def test_how_full_it_is_follows_from_load_and_line() -> None:
    one, use = only(outlook(FLEET, DEMANDS, Change(), 30))
    assert use.used == pytest.approx(0.75, rel=1e-3)
    assert use.used_high == pytest.approx(0.75 * np.exp(0.1), rel=1e-3)
    assert use.reached == use.reached.__class__(None, None, None)
    assert (one.input, one.output) == (pytest.approx(8000, rel=1e-3), pytest.approx(4000, rel=1e-3))
    assert one.needs == (6, 7)


def test_the_date_is_the_first_day_at_which_the_peak_is_at_the_limit() -> None:
    growing = {("m", "eu"): asked(8000, 0.01)}  # 1 / 0.75 = e^0.288
    _, use = only(outlook(FLEET, growing, Change(), 30))
    assert use.reached is not None
    assert (use.reached.median, use.reached.earliest, use.reached.latest) == (29, 19, 39)


def test_a_limit_that_is_no_more_than_a_guess_gives_no_date() -> None:
    limit = replace(FLEET.pools[0].limits[KV_CACHE], state=FAR)
    guessed = replace(FLEET, pools=(pool(limits={KV_CACHE: limit}),))
    _, use = only(outlook(guessed, DEMANDS, Change(factor=9.0), 30))
    assert use.reached is None
    assert use.gpus == (54, 60)
    unseen = Limit("queue", UNSEEN, 500, 30_000, 1000.0)
    one, use = only(outlook(replace(FLEET, pools=(pool(limits={"queue": unseen}),)), DEMANDS, Change(), 30))
    assert (use.reached, use.gpus, one.needs) == (None, None, None)


@given(factor=st.floats(0.01, 1e6))
@settings(max_examples=30, deadline=None)
def test_twice_the_demand_is_twice_as_full_and_takes_twice_the_gpus(factor: float) -> None:
    _, once = only(outlook(FLEET, DEMANDS, Change(factor=factor), 30))
    _, twice = only(outlook(FLEET, DEMANDS, Change(factor=2 * factor), 30))
    assert twice.used == pytest.approx(2 * once.used, rel=1e-6)
    assert once.gpus is not None
    assert twice.gpus is not None
    assert 2 * once.gpus[0] - 1 <= twice.gpus[0] <= 2 * once.gpus[0]


@given(nodes=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_nodes_share_the_load(nodes: int) -> None:
    one, use = only(outlook(FLEET, DEMANDS, Change(nodes={"m|eu|eu-a": nodes}), 30))
    assert one.pool.gpus == 8 + 4 * nodes
    assert use.used * one.pool.gpus == pytest.approx(0.75 * 8, rel=1e-3)


@given(gpus=st.integers(1, 500), rate=st.floats(10, 1e7))
@settings(max_examples=40, deadline=None)
def test_with_the_gpus_that_are_needed_no_limit_is_passed_and_with_one_less_it_is(gpus: int, rate: float) -> None:
    fleet = replace(FLEET, pools=(pool(gpus=gpus),))
    demands = {("m", "eu"): asked(rate)}
    one, _ = only(outlook(fleet, demands, Change(), 30))
    assert one.needs is not None
    enough = replace(fleet, pools=(pool(gpus=one.needs[0]),))
    assert only(outlook(enough, demands, Change(), 30))[1].used <= 1 + 1e-6
    if one.needs[0] > 1:
        short = replace(fleet, pools=(pool(gpus=one.needs[0] - 1),))
        assert only(outlook(short, demands, Change(), 30))[1].used > 1 - 1e-6


def test_tokens_a_day_set_the_first_weeks_mean() -> None:
    found = outlook(FLEET, DEMANDS, Change(tokens_a_day=20e12), 30)
    assert found.tokens_a_day == pytest.approx(20e12)
    _, use = only(found)
    assert use.used == pytest.approx(0.75 * 20e12 / (12_000 * 86_400), rel=1e-3)


def test_requests_that_move_leave_one_pool_and_fill_the_other() -> None:
    fleet = Fleet((pool(), pool(place=US, gpus=16, demand=("m", "us"))), (site(), site(US, 16)))
    demands = DEMANDS | {("m", "us"): asked(4000)}
    found = outlook(fleet, demands, Change(moved="m|eu|eu-a", to=US, share=0.5), 30)
    here, there = (each.uses[0].used for each in found.pools)
    assert here == pytest.approx(0.375, rel=1e-3)
    assert there == pytest.approx(0.75 * (4000 + 4000) / 8000 * 8 / 16, rel=1e-3)


def test_a_model_that_moves_where_nothing_serves_it_needs_gpus_there_or_takes_its_own() -> None:
    bare = outlook(FLEET, DEMANDS, Change(moved="m|eu|eu-a", to=US), 30)
    left, arrived = bare.pools
    assert (left.uses[0].used, arrived.uses[0].used) == (0, float("inf"))
    assert arrived.needs == (6, 7)
    full = outlook(FLEET, DEMANDS, Change(moved="m|eu|eu-a", to=US, with_gpus=True), 30)
    assert full.pools[1].uses[0].used == pytest.approx(0.75, rel=1e-3)
    assert full.pools[0].pool.gpus == 0


def test_more_hits_of_the_prefix_cache_leave_less_to_compute() -> None:
    _, use = only(outlook(FLEET, DEMANDS, Change(cached=0.9), 30))
    assert use.used == pytest.approx(100 * 0.5e-3 + 500 * 1e-3, rel=1e-3)


def test_the_power_of_a_cluster_is_held_against_the_lower_of_cap_and_limits() -> None:
    found = outlook(FLEET, DEMANDS, Change(), 30)
    here = next(each for each in found.sites if each.site.place == EU)
    assert here.used_w == pytest.approx(8 * 200 + 0.1 * 4000 + 0.6 * 4000, rel=1e-3)
    assert here.allowed_w == 8 * 700
    capped = outlook(FLEET, DEMANDS, Change(caps_w={EU: 4000.0}), 30)
    here = next(each for each in capped.sites if each.site.place == EU)
    assert here.allowed_w == 4000
    assert here.reached is not None
    assert here.reached.median == 0
    more = outlook(FLEET, DEMANDS, Change(nodes={"m|eu|eu-a": 1}), 30)
    assert next(each for each in more.sites if each.site.place == EU).allowed_w == 12 * 700


def test_a_pool_whose_demand_is_not_known_is_named_and_left_out() -> None:
    found = outlook(FLEET, {}, Change(), 30)
    assert (found.pools, [one.model for one in found.blind]) == ((), ["m"])


def test_a_day_costs_gpu_time_and_energy_to_the_cent() -> None:
    found = outlook(FLEET, DEMANDS, Change(), 30)
    prices = Tariffs(
        kwh=(KwhPrice("eu", 0, 24, cost("0.10"), "EUR", 0),),
        gpu=(GpuHourPrice("*", "*", cost("1.50"), "USD", 0),),
    )
    found_cost = day_cost(found, prices, NOW)
    kwh_a_day = (8 * 200 + 0.1 * 4000 + 0.6 * 4000) * 24 / 1000
    assert found_cost.total == {"EUR": cost(f"{kwh_a_day * 0.10:.2f}"), "USD": cost("288.00")}
    assert found_cost.unpriced == ()
    assert day_cost(found, Tariffs(), NOW).unpriced == ("GPUs in eu", "energy in eu")


def cost(text: str) -> Decimal:

    return Decimal(text)
