"""Energy: the windows of the month, what each tenant's part of them was, and both by the hour."""

from datetime import timedelta

from bench.ingest import statement
from bench.month import (
    CLUSTER,
    DAY_S,
    ENGINE,
    ENGINES_PER_NODE,
    MODEL,
    NODE,
    NODES,
    REGION,
    TENANTS,
    TIERS,
    Month,
    words,
)
from bench.month.telemetry import BUSY, GPUS_PER_ENGINE

TENANTS_PER_MINUTE, TENANTS_PER_HOUR = 4, 60
UNSETTLED = timedelta(minutes=5)
PRODUCT = "NVIDIA H100 80GB HBM3"


def fill(month: Month) -> None:
    for at, until in month.slices(DAY_S):
        _windows(at, until)
        _attributed(at, until)
    for at, until in month.slices(7 * DAY_S):
        _hours(at // 3600 * 3600, until // 3600 * 3600)


def add_up(month: Month) -> None:
    """Days and margins, as workers would have that have worked up all that has come so far; margins are kept for minutes."""
    from billing import margin_kept
    from metering.models import TelemetryProgress
    from metering.telemetry.energy.days import sum_up

    closed = (month.now - UNSETTLED).replace(second=0, microsecond=0)
    progress = {"watermark": month.now, "closed_until": closed}
    TelemetryProgress.objects.update_or_create(name="energy", defaults=progress)

    while sum_up(budget_s=3600):
        pass
    margin_kept.keep()


def _engines(at: int, until: int, step_s: int, parts: int = 1) -> str:
    steps = (until - at) // step_s
    return f"""
        SELECT number % {parts} AS part, toUInt32(intDiv(intDiv(number, {parts}), {steps})) AS p, intDiv(p, {ENGINES_PER_NODE}) AS n,
            p % {ENGINES_PER_NODE} AS e, {at} + (intDiv(number, {parts}) % {steps}) * {step_s} AS at_s, {BUSY} AS busy,
            toUInt32({TENANTS} * pow(rand(7) / 4294967296, 2.5)) AS t
        FROM numbers({NODES * ENGINES_PER_NODE * steps * parts})
    """


def _windows(at: int, until: int) -> None:
    joules = f"{GPUS_PER_ENGINE} * 60 * (90 + 600 * busy)"
    statement(
        f"""
        INSERT INTO energy_windows (window_start, node, engine, region, cluster, model, product, simulated, gpus, engines_in_group,
            counter_j,
            idle_j, attributed_j, engine_prefill_tokens, engine_decode_tokens, event_prefill_tokens, event_decode_tokens,
            engine_requests_finished, event_requests, busy_s, idle_s, gpu_s, idle_gpu_s, attributed_gpu_s, idle_power_w,
            idle_power_measured,
            lowest_power_w, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, {REGION}, {CLUSTER}, {MODEL}, '{PRODUCT}', true, [], 1, {joules} AS j, j * 0.02,
            j * 0.98, 70000 * busy, 40000 * busy, 70000 * busy, 40000 * busy, 120 * busy, 120 * busy, 58, 2, {GPUS_PER_ENGINE * 60},
            {GPUS_PER_ENGINE * 2}, {GPUS_PER_ENGINE * 58}, 90, true, 90, 1
        FROM ({_engines(at, until, 60)})
        """
    )


def _attributed(at: int, until: int) -> None:
    statement(
        f"""
        INSERT INTO energy_attributed (window_start, node, engine, tenant, model, tier, region, product, requests, prefill_tokens,
            decode_tokens,
            energy_j, gpu_s, simulated, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, concat('month-', leftPad(toString(t), 4, '0')), {MODEL},
            {words(TIERS)}[t % 3 + 1],
            {REGION}, '{PRODUCT}', 30, 70000 * busy / {TENANTS_PER_MINUTE}, 40000 * busy / {TENANTS_PER_MINUTE},
            {GPUS_PER_ENGINE} * 60 * (90 + 600 * busy) * 0.98 / {TENANTS_PER_MINUTE}, {GPUS_PER_ENGINE * 58 / TENANTS_PER_MINUTE}, true, 1
        FROM ({_engines(at, until, 60, TENANTS_PER_MINUTE)})
        """
    )


def _hours(at: int, until: int) -> None:
    nkwh = f"toInt64({GPUS_PER_ENGINE} * (90 + 600 * busy) / 1000 * 1e9)"
    statement(
        f"""
        INSERT INTO energy_hours (hour, node, engine, model, product, region, cluster, simulated, windows, counter_nkwh, idle_nkwh,
            attributed_nkwh, gap_nkwh, no_event_nkwh, aborted_nkwh, no_engine_nkwh, gpu_nh, idle_gpu_nh, gap_gpu_nh, no_event_gpu_nh,
            aborted_gpu_nh, no_engine_gpu_nh, worst_conservation_error, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, {MODEL}, '{PRODUCT}', {REGION}, {CLUSTER}, true, 60, {nkwh} AS j,
            toInt64(j * 0.02),
            j - toInt64(j * 0.02), 0, 0, 0, 0, {GPUS_PER_ENGINE}000000000, {GPUS_PER_ENGINE}0000000, 0, 0, 0, 0, 0, 1
        FROM ({_engines(at, until, 3600)})
        """
    )
    statement(
        f"""
        INSERT INTO energy_attributed_hours (hour, node, engine, tenant, model, tier, region, product, requests, prefill_tokens,
            decode_tokens,
            energy_nkwh, gpu_nh, simulated, version)
        SELECT toDateTime(at_s, 'UTC'), {NODE}, {ENGINE}, concat('month-', leftPad(toString(t), 4, '0')), {MODEL},
            {words(TIERS)}[t % 3 + 1],
            {REGION}, '{PRODUCT}', 100, 4200000 * busy / {TENANTS_PER_HOUR}, 2400000 * busy / {TENANTS_PER_HOUR},
            toInt64({GPUS_PER_ENGINE} * (90 + 600 * busy) / 1000 * 1e9 * 0.98 / {TENANTS_PER_HOUR}),
            {GPUS_PER_ENGINE * 990_000_000 // TENANTS_PER_HOUR}, true, 1
        FROM ({_engines(at, until, 3600, TENANTS_PER_HOUR)})
        """
    )
