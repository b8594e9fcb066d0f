"""What pools of engines can take, from rows of minutes: the simulated line is found again, with the demand that it belongs to."""

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from metering.capacity.fleet import Fleet, Pool
from metering.capacity.limits import COMPUTE, ESTIMATED, FEW, KV_CACHE, MEMORY_BANDWIDTH, POWER, QUEUE, UNSEEN
from metering.capacity.measuring import measured
from metering.telemetry.settings import saturation_points
from tests.metering.capacity.rows import insert_demand, insert_pool

pytestmark = pytest.mark.usefixtures("clickhouse", "db")


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def own_name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:10]}"


def pool_of(fleet: Fleet, model: str) -> Pool:
    (found,) = (pool for pool in fleet.pools if pool.model == model)
    return found


def test_limits_follow_from_readings_and_load_over_days() -> None:
    model, region, now = own_name("m"), own_name("r"), this_hour()
    hours = 96
    start = now - timedelta(hours=hours)
    load = 0.4 + 0.25 * np.sin(np.arange(hours) / 24 * 2 * np.pi)
    insert_pool(model, start, load, node=own_name("n"), region=region, cluster="c", gpus=4)
    # For each second at load 1, four GPUs computed 4,000 prompt tokens of 8,000, and made 2,000.
    insert_demand(model, start, load * 8000 * 3600, load * 2000 * 3600, region=region, cluster="c")
    fleet = measured(now)
    pool = pool_of(fleet, model)
    assert fleet.block_s == 3600
    assert (pool.gpus, pool.nodes, pool.engines) == (4, 1, 1)
    assert (pool.cached, pool.prefill_share) == (pytest.approx(0.5, abs=1e-4), pytest.approx(2 / 3, rel=1e-3))
    assert pool.demand == (model, region)
    assert (pool.input_ratio, pool.output_ratio) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.01))
    points = saturation_points()
    kv_cache = pool.limits[KV_CACHE]
    assert kv_cache.state == ESTIMATED
    # Nine of ten minutes lie below the mean by 2.6 % of noise: full at a little less than load 1, 1,500 tokens/s for each GPU.
    assert kv_cache.at == pytest.approx(1500 * points.kv_cache_usage / 0.9 / 1.026, rel=0.02)
    compute = pool.limits[COMPUTE]
    assert compute.at == pytest.approx(1500 * (points.tensor_active - 0.05) / 0.2 / 1.026, rel=0.05)
    assert pool.limits[MEMORY_BANDWIDTH].at == pytest.approx(1500 * (points.dram_active - 0.1) / 0.4 / 1.026, rel=0.05)
    assert pool.limits[POWER].state == ESTIMATED
    assert pool.limits[QUEUE].state == UNSEEN
    assert pool.watts is not None
    assert pool.watts.base == pytest.approx(200, rel=0.05)
    assert pool.watts.grows(1000, 500) == pytest.approx(400, rel=0.05)
    assert (pool.products, pool.limit_w) == (("H100",), 700)
    site = next(each for each in fleet.sites if each.region == region)
    assert (site.gpus, site.limits_w, site.now_w) == (4, 2800, 1600)


def test_requests_without_a_region_are_matched_by_their_model() -> None:
    model, region, now = own_name("m"), own_name("r"), this_hour()
    start = now - timedelta(hours=30)
    load = np.full(30, 0.5)
    for cluster in ("a", "b"):
        insert_pool(model, start, load, node=own_name("n"), region=region, cluster=cluster, gpus=2)
    insert_demand(model, start, load * 8000 * 3600, load * 2000 * 3600)
    pools = [pool for pool in measured(now).pools if pool.model == model]
    assert [pool.demand for pool in pools] == [(model, "")] * 2
    assert [pool.input_ratio for pool in pools] == [pytest.approx(0.5, abs=0.01)] * 2


def test_a_model_that_no_request_names_has_no_demand() -> None:
    model, now = own_name("m"), this_hour()
    insert_pool(model, now - timedelta(hours=4), [0.5] * 4, node=own_name("n"))
    pool = pool_of(measured(now), model)
    assert (pool.input_ratio, pool.output_ratio) == (None, None)
    assert pool.limits[KV_CACHE].state in {FEW, ESTIMATED, "flat", "far"}
