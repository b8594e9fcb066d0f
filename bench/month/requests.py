"""Requests, and the usage ledger as if they had been sealed."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.ingest import statement
from bench.month import (
    CLUSTER,
    ENGINE,
    ENGINES_PER_NODE,
    MODELS,
    NODE,
    NODES,
    REGION,
    TENANTS,
    TIERS,
    Month,
    words,
)

SLICE_S = 7200
UNSEALED = timedelta(minutes=10)


def tenant_key(number: int) -> str:
    return f"month-{number:04d}"


def fill(month: Month) -> None:
    _tenants()
    slices = month.slices(SLICE_S)
    weights = [_weight(at) * (until - at) for at, until in slices]
    counts = [round(month.requests * weight / sum(weights)) for weight in weights]
    _all(_requests, *zip(*slices, strict=True), counts)
    seal, unsealed = _seal(month)
    _all(partial(_ledger, seal=seal), *zip(*unsealed.slices(SLICE_S), strict=True))


def _all(insert: Callable[..., None], *arguments: Iterable[int]) -> None:
    """An insert takes one core: as many side by side as there are."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(insert, *arguments):
            pass


def _weight(at_s: int) -> float:
    """A day's swing: twice as much at 14 h UTC as at 2 h."""
    hour = at_s % 86_400 / 3600
    return 1.5 - abs((hour - 14 + 12) % 24 - 12) / 12


def _tenants() -> None:
    from metering.models import Tenant

    rows = [Tenant(key=tenant_key(n), name=f"Tenant {n}", currency="USD") for n in range(TENANTS)]
    Tenant.objects.bulk_create(rows, batch_size=2000, ignore_conflicts=True)


def _seal(month: Month) -> tuple[int, Month]:
    """The seal's number, and what it seals: from the watermark before to ten minutes ago."""
    from metering.models import Seal

    watermark = (month.now - UNSEALED).replace(second=0, microsecond=0)
    watermark -= timedelta(minutes=watermark.minute % 15)
    before = Seal.objects.order_by("-watermark").first()
    start = before.watermark if before else datetime.fromtimestamp(month.start_s, UTC)
    seal = Seal.objects.create(
        watermark_from=start,
        watermark=watermark,
        state=Seal.State.COMPLETED,
        completed_at=month.now,
        corrected_at=month.now,
    )
    return seal.pk, replace(month, start_s=int(start.timestamp()), end_s=int(watermark.timestamp()))


def _requests(at: int, until: int, count: int) -> None:
    """Few tenants make most of it; a tenant stays with two models; latencies are log-normal, and longer where prompts are."""
    statement(
        f"""
        INSERT INTO requests (tenant, time, id, observed, ingested_at, batch, row, project, model, operation, tier, status, input_tokens,
            cached_input_tokens, output_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms, region, cluster, node, engine, stream)
        SELECT concat('month-', leftPad(toString(t), 4, '0')) AS tenant, at AS time, concat(toString({at}), '-', toString(number)), 0,
            toDateTime64(at, 6, 'UTC') + toIntervalMillisecond(400), toUUID('00000000-0000-4000-8000-{at:012d}'), number, 'default',
            {words(MODELS)}[m + 1] AS model, if(m = 8, 'embedding', 'chat'), {words(TIERS)}[if(t % 7 = 0, 2, if(t % 11 = 0, 3, 1))],
            multiIf(r % 200 = 0, 'error', r % 150 = 0, 'cancelled', 'ok'), input, toUInt64(input * (r % 60) / 100), output, queue,
            queue + ttft, tpot, queue + ttft + tpot * output, {REGION}, {CLUSTER}, {NODE}, {ENGINE}, 1
        FROM
        (
            SELECT number, rand(1) AS r, toUInt32({TENANTS} * pow(rand(2) / 4294967296, 2.5)) AS t,
                fromUnixTimestamp64Milli({at * 1000} + toUInt64(rand(3) / 4294967296 * {(until - at) * 1000}), 'UTC') AS at,
                (t * 3 + if(rand(4) % 3 = 0, 1, 0)) % {len(MODELS)} AS m,
                intDiv(rand(5) % {NODES * ENGINES_PER_NODE}, {len(MODELS)}) * {len(MODELS)} + m AS place,
                toUInt32(intDiv(place, {ENGINES_PER_NODE})) % {NODES} AS n, place % {ENGINES_PER_NODE} AS e,
                toUInt64(exp(randNormal(6.5, 0.9)) + 8) AS input, toUInt64(exp(randNormal(5.2, 0.7)) + 1) AS output,
                toFloat32(exp(randNormal(2.0, 1.0))) AS queue, toFloat32(input * 0.05 + exp(randNormal(4.0, 0.4))) AS ttft,
                toFloat32(exp(randNormal(2.9, 0.3))) AS tpot
            FROM numbers({count})
        )
        """
    )


def _ledger(at: int, until: int, seal: int) -> None:
    statement(
        f"""
        INSERT INTO usage_ledger (tenant, bucket, seal, project, model, operation, tier, region, status, context_band, requests,
            input_tokens,
            cached_input_tokens, output_tokens)
        SELECT tenant, toStartOfInterval(toDateTime(time, 'UTC'), INTERVAL 15 MINUTE), {seal}, project, model, operation, tier, region,
            status, 32000, count(), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens)
        FROM requests
        WHERE ingested_at >= toDateTime({at}, 'UTC') AND ingested_at < toDateTime({until + 60}, 'UTC')
            AND time >= toDateTime({at}, 'UTC') AND time < toDateTime({until}, 'UTC')
        GROUP BY ALL
        """
    )
