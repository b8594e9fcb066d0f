"""Samples of GPUs and engines for as long as raw samples are kept, and the minutes of the whole month that are worked up from them."""

from bench.ingest import statement
from bench.month import (
    CLUSTER,
    DAY_S,
    ENGINE,
    ENGINES_PER_NODE,
    GPUS_PER_NODE,
    MODEL,
    NODE,
    NODES,
    REGION,
    Month,
)
from metering.contracts import RAW_TELEMETRY_DAYS

EVERY_S = 15
RECENT_S, TIMED_S = 1800, 1200  # what recent tables hold, and how long pages are timed at most
GPUS_PER_ENGINE = GPUS_PER_NODE // ENGINES_PER_NODE
GPU = "concat('GPU-', leftPad(toString(n), 3, '0'), '-', toString(g))"
# How busy a place is at a moment `at_s`: a day's swing and something of its own.
BUSY = (
    "least(0.98, 0.45 + 0.3 * sin((at_s % 86400) / 86400 * 6.2832 - 2) + 0.02 * (n % 9) + 0.05 * (rand() / 4294967296))"
)


def fill(month: Month) -> None:
    raw_from = month.end_s - RAW_TELEMETRY_DAYS * DAY_S + 3600
    for at, until in month.slices(DAY_S):
        for table in (_gpu_minutes, _engine_minutes, _saturation_minutes):
            table(at, until)
        if until > raw_from:
            _gpu_samples(max(at, raw_from), until)
            _engine_samples(max(at, raw_from), until)
    add_up()


def add_up() -> None:
    """Quarters of an hour and more, as the worker would have."""
    from metering.telemetry.step_rollups import catch_up

    while catch_up(budget_s=3600):
        pass


def trim() -> None:
    """Tables of recent samples, as they are now: without the hours ahead, with what was ahead when it was filled."""
    for kind in ("gpu", "engine"):
        statement(f"TRUNCATE TABLE {kind}_recent")
        statement(
            f"INSERT INTO {kind}_recent SELECT * FROM {kind}_samples WHERE time > now() - {RECENT_S} AND time < now() + {TIMED_S}"
        )


def _gpus(at: int, until: int, step_s: int) -> str:
    count = NODES * GPUS_PER_NODE * ((until - at) // step_s)
    return f"""
        SELECT toUInt32(intDiv(number, {(until - at) // step_s}) AS place) AS p, intDiv(p, {GPUS_PER_NODE}) AS n, p % {GPUS_PER_NODE} AS g,
            {at} + (number % {(until - at) // step_s}) * {step_s} AS at_s, {BUSY} AS busy
        FROM numbers({count})
    """


def _engines(at: int, until: int, step_s: int) -> str:
    steps = (until - at) // step_s
    return f"""
        SELECT toUInt32(intDiv(number, {steps})) AS p, intDiv(p, {ENGINES_PER_NODE}) AS n, p % {ENGINES_PER_NODE} AS e,
            {at} + (number % {steps}) * {step_s} AS at_s, {BUSY} AS busy,
            arrayMap(i -> concat('GPU-', leftPad(toString(n), 3, '0'), '-', toString(e * {GPUS_PER_ENGINE} + i)),
            range({GPUS_PER_ENGINE})) AS gpus
        FROM numbers({NODES * ENGINES_PER_NODE * steps})
    """


def _gpu_minutes(at: int, until: int) -> None:
    statement(
        f"""
        INSERT INTO gpu_minute (minute, node, gpu, mig, index, name, region, cluster, simulated, samples, gpu_utilization_mean,
            sm_active_mean,
            sm_active_max, tensor_active_mean, dram_active_mean, memory_used_bytes_max, memory_total_bytes, power_w_mean, power_w_max,
            power_limit_w, energy_j, sm_clock_mhz_mean, memory_clock_mhz_mean, temperature_c_max, memory_temperature_c_max,
            throttle_samples,
            throttled_share, throttle, xid_errors, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {GPU}, '', g, 'NVIDIA H100 80GB HBM3', {REGION}, {CLUSTER}, true, 4, busy, busy * 0.9, busy,
            busy * 0.5, busy * 0.6, toUInt64(6e10), 85520809984, 90 + 600 * busy, 120 + 600 * busy, 700, (90 + 600 * busy) * 60,
            1980 - 300 * busy, 2619, 30 + 45 * busy, 40 + 45 * busy, 4, if(busy > 0.9, 0.25, 0),
            if(busy > 0.9, map('sw_power_cap', toFloat32(0.25)), map()), 0, 1
        FROM ({_gpus(at, until, 60)})
        """
    )


def _gpu_samples(at: int, until: int) -> None:
    statement(
        f"""
        INSERT INTO gpu_samples (node, gpu, mig, time, ingested_at, batch, row, source, index, name, region, cluster, simulated,
            gpu_utilization, sm_active, tensor_active, dram_active, memory_used_bytes, memory_total_bytes, power_w, power_limit_w, energy_j,
            sm_clock_mhz, memory_clock_mhz, temperature_c, memory_temperature_c, throttle, throttle_known, xid_errors)
        SELECT {NODE}, {GPU}, '', toDateTime64(at_s, 3, 'UTC'), toDateTime64(at_s, 6, 'UTC') + 1,
            toUUID('00000000-0000-4000-8000-{at:012d}'), p,
            'nvml', g, 'NVIDIA H100 80GB HBM3', {REGION}, {CLUSTER}, true, busy, busy * 0.9, busy * 0.5, busy * 0.6, toUInt64(6e10),
            85520809984,
            90 + 600 * busy, 700, at_s * 400., 1980 - 300 * busy, 2619, 30 + 45 * busy, 40 + 45 * busy,
            if(busy > 0.9, ['sw_power_cap'], []), true, 0
        FROM ({_gpus(at, until, EVERY_S)})
        """
    )


def _engine_minutes(at: int, until: int) -> None:
    statement(
        f"""
        INSERT INTO engine_minute (minute, node, engine, engine_kind, model, region, cluster, simulated, gpus, samples, up_share, restarts,
            running_mean, running_max, waiting_mean, waiting_max, kv_cache_usage_mean, kv_cache_usage_max, preemptions, prompt_tokens,
            cached_prompt_tokens, generation_tokens, prefix_cache_queries, prefix_cache_hits, requests_finished, requests_aborted,
            ttft_sum_s, ttft_count, itl_sum_s, itl_count, e2e_sum_s, e2e_count, queue_sum_s, queue_count, prefill_sum_s, prefill_count,
            decode_sum_s, decode_count, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, 'vllm', {MODEL}, {REGION}, {CLUSTER}, true, gpus, 4, 1, 0, 100 * busy, 120 * busy,
            if(busy > 0.9, 20, 0), if(busy > 0.9, 30, 1), busy, least(1, busy * 1.05), if(busy > 0.93, 2, 0), 100000 * busy, 30000 * busy,
            40000 * busy, 100000 * busy, 30000 * busy, 120 * busy, 1, 12 * busy, 120 * busy, 700 * busy, 40000 * busy, 700 * busy,
            120 * busy,
            1 * busy, 120 * busy, 11 * busy, 120 * busy, 690 * busy, 120 * busy, 1
        FROM ({_engines(at, until, 60)})
        """
    )


def _engine_samples(at: int, until: int) -> None:
    """Counters that grow as the minutes' do on average."""
    statement(
        f"""
        INSERT INTO engine_samples (node, engine, time, ingested_at, batch, row, engine_kind, up, model, region, cluster, simulated, gpus,
            running, waiting, kv_cache_usage, preemptions, prompt_tokens, cached_prompt_tokens, generation_tokens, prefix_cache_queries,
            prefix_cache_hits, requests_finished, requests_aborted, ttft_sum_s, ttft_count, itl_sum_s, itl_count, e2e_sum_s, e2e_count,
            queue_sum_s, queue_count, prefill_sum_s, prefill_count, decode_sum_s, decode_count)
        SELECT {NODE}, {ENGINE}, toDateTime64(at_s, 3, 'UTC'), toDateTime64(at_s, 6, 'UTC') + 1,
            toUUID('00000000-0000-4000-8000-{at:012d}'), p,
            'vllm', true, {MODEL}, {REGION}, {CLUSTER}, true, gpus, 100 * busy, if(busy > 0.9, 20, 0), busy, 0, c * 1000, c * 300, c * 400,
            c * 1000, c * 300, c, 0, c * 0.1, c, c * 6, c * 400, c * 6, c, c * 0.01, c, c * 0.09, c, c * 5.9, c
        FROM (SELECT *, toUInt64(at_s - {at // DAY_S * DAY_S} + 86400 * intDiv(at_s, 86400)) AS c FROM ({_engines(at, until, EVERY_S)}))
        """
    )


def _saturation_minutes(at: int, until: int) -> None:
    statement(
        f"""
        INSERT INTO saturation_minute (minute, node, engine, model, region, cluster, simulated, gpus, score, constraint, bound, readings,
            missing, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, {MODEL}, {REGION}, {CLUSTER}, true, {GPUS_PER_ENGINE}, busy,
            if(busy > 0.85, 'kv_cache', 'memory_bandwidth'), busy > 0.9,
            map('kv_cache_usage', toFloat32(busy), 'waiting_per_running', toFloat32(if(busy > 0.9, 0.2, 0)), 'dram_active',
            toFloat32(busy * 0.6),
                'tensor_active', toFloat32(busy * 0.5), 'power_share', toFloat32(0.13 + 0.86 * busy)), [], 1
        FROM ({_engines(at, until, 60)})
        """
    )
