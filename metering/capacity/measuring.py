"""Reading what pools of engines did, and working out what they can take. Takes seconds: a worker's job, not a page's."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from metering import moments
from metering.capacity.fleet import Fleet, Place, Pool, Site
from metering.capacity.limits import (
    COMPUTE,
    KV_CACHE,
    MEMORY_BANDWIDTH,
    POWER,
    QUEUE,
    Blocks,
    Line,
    limits,
    mix_of,
    robust,
)
from metering.clickhouse import client
from metering.clickhouse.queries.capacity import (
    SINGLE_READINGS,
    DemandByModel,
    GpuLimits,
    PoolGpus,
    PoolPower,
    PoolReadings,
    PoolTokens,
    TelemetrySpan,
)
from metering.telemetry.settings import saturation_points

LOOKED_BACK = timedelta(days=21)
HOUR_S, DAY_S = 3600, 86_400
SHORT_BLOCK_S = 600  # while there are fewer than
HOURS_FROM = timedelta(days=3)
LAST_KNOWN_S = 2 * HOUR_S  # what a GPU is and may draw is read from the last hours of telemetry
LEAST_BLOCKS_W = 6  # for a line of power
EXPLAINED = (
    0.5,
    2.0,
)  # engines' tokens over requests' tokens between these: the requests are those that the engines served
TIMEOUT_S = 60.0
CONSTRAINT_OF = dict(zip(SINGLE_READINGS, (KV_CACHE, MEMORY_BANDWIDTH, COMPUTE, POWER, QUEUE), strict=True))
PoolKey = tuple[str, str, str]


@dataclass
class _Pool:
    """Rows by the start of their block."""

    readings: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    tokens: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    power: dict[int, tuple[float, float]] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Span:
    """`[start, end)` in epoch seconds, whole blocks."""

    start: int
    end: int
    block_s: int


@dataclass
class _Seen:
    pools: dict[PoolKey, _Pool] = field(default_factory=lambda: defaultdict(_Pool))
    unclaimed: dict[Place, list[float]] = field(default_factory=lambda: defaultdict(list))  # watts of each block


def measured(now: datetime) -> Fleet:
    """Raises ClickHouseUnavailable or ClickHouseRefused."""
    first, last = _run(TelemetrySpan(moments.seconds(now - LOOKED_BACK)))[0]
    if not last:
        return Fleet(missing=("No engine or GPU has reported yet: docs/telemetry.md says how they do.",))
    block_s = HOUR_S if last - first >= HOURS_FROM.total_seconds() else SHORT_BLOCK_S
    start, end = -(-first // block_s) * block_s, (last + 60) // block_s * block_s
    seen = _Seen()
    for day in _days(start, end):
        _read(seen, *day, block_s)
    hours = -(-start // HOUR_S) * HOUR_S, end // HOUR_S * HOUR_S
    asked = _asked(*hours)
    gpus = _run(GpuLimits(last - LAST_KNOWN_S, last + 60))
    owned = _owned(last, gpus)
    pools = tuple(
        _pool(key, rows, _Span(start, end, block_s), owned.get(key, ()), _match(key, seen, asked, hours))
        for key, rows in sorted(seen.pools.items())
        if rows.readings and rows.tokens
    )
    return Fleet(pools, _sites(gpus, seen), start, end, block_s)


def _days(start: int, end: int) -> Iterator[tuple[int, int]]:
    for at in range(start // DAY_S * DAY_S, end, DAY_S):
        yield max(at, start), min(at + DAY_S, end)


def _read(seen: _Seen, start: int, end: int, block_s: int) -> None:
    span = (start, end, block_s)
    for at, model, region, cluster, *values in _run(PoolReadings(*span)):
        seen.pools[model, region, cluster].readings[at] = tuple(values)
    for at, model, region, cluster, minutes, prompt, cached, output in _run(PoolTokens(*span)):
        seen.pools[model, region, cluster].tokens[at] = (minutes, prompt, cached, output)
    for at, model, region, cluster, joules, gpu_s, products in _run(PoolPower(*span)):
        if model:
            pool = seen.pools[model, region, cluster]
            pool.power[at] = (joules, gpu_s)
            pool.products.update(products)
        else:
            seen.unclaimed[region, cluster].append(joules / block_s)


def _asked(start: int, end: int) -> Mapping[tuple[str, str], dict[int, tuple[int, int]]]:
    """Tokens of requests by model and region, and by the hour."""
    found: dict[tuple[str, str], dict[int, tuple[int, int]]] = defaultdict(dict)
    if start < end:
        for at, model, region, given, made in _run(DemandByModel(start, end)):
            found[model, region][at] = (given, made)
    return found


Match = tuple[tuple[str, str], float | None, float | None]


def _match(
    key: PoolKey, seen: _Seen, asked: Mapping[tuple[str, str], dict[int, tuple[int, int]]], hours: tuple[int, int]
) -> Match:
    """Whose requests this pool serves: those of its model in its region, if they explain what the engines there counted, else those of
    its model anywhere. With it, the engines' tokens over the requests', in and out."""
    model, region, _ = key
    there = [pool for (name, place, _), pool in seen.pools.items() if (name, place) == (model, region)]
    near = {(model, region): asked.get((model, region), {})}
    anywhere = {name: values for name, values in asked.items() if name[0] == model}
    counted = _hourly(there, hours)
    requests = _added(near.values())
    given, made = _ratio(counted, requests, 0), _ratio(counted, requests, 1)
    explains = any(ratio is not None and EXPLAINED[0] <= ratio <= EXPLAINED[1] for ratio in (given, made))
    demand, requests = ((model, region), requests) if explains else ((model, ""), _added(anywhere.values()))
    own = _hourly([seen.pools[key]], hours)
    return demand, _ratio(own, requests, 0), _ratio(own, requests, 1)


def _hourly(pools: Sequence[_Pool], hours: tuple[int, int]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for pool in pools:
        for at, (_, prompt, _, output) in pool.tokens.items():
            hour = at // HOUR_S * HOUR_S
            if hours[0] <= hour < hours[1]:
                before = found.get(hour, (0, 0))
                found[hour] = (before[0] + prompt, before[1] + output)
    return found


def _added(values: "Sequence[dict[int, tuple[int, int]]] | Any") -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for each in values:
        for at, (given, made) in each.items():
            before = found.get(at, (0, 0))
            found[at] = (before[0] + given, before[1] + made)
    return found


def _ratio(counted: Mapping[int, tuple[int, int]], asked: Mapping[int, tuple[int, int]], which: int) -> float | None:
    """Over the hours that have both."""
    both = counted.keys() & asked.keys()
    total = sum(asked[at][which] for at in both)
    return sum(counted[at][which] for at in both) / total if total else None


def _pool(key: PoolKey, rows: _Pool, span: _Span, gpus: Sequence[tuple[str, float | None]], match: Match) -> Pool:
    at = sorted(rows.readings.keys() & rows.tokens.keys())
    readings = [rows.readings[each] for each in at]
    tokens = np.array([rows.tokens[each] for each in at], dtype=np.float64).reshape(-1, 4)
    recent = readings[-DAY_S // span.block_s :] or readings
    seconds = tokens[:, 0] * 60 * np.maximum([row[1] for row in readings], 1e-9)
    points = saturation_points()
    group_s = DAY_S if span.end - span.start >= 5 * DAY_S else HOUR_S
    blocks = Blocks(
        prefill=(tokens[:, 1] - tokens[:, 2]) / seconds,
        decode=tokens[:, 3] / seconds,
        readings={
            CONSTRAINT_OF[name]: np.array([row[5 + index] for row in readings], np.float64) / getattr(points, name)
            for index, name in enumerate(SINGLE_READINGS)
        },
        minutes=np.array([row[0] for row in readings], np.float64),
        group=np.array(at, np.int64) // group_s,
    )
    mix = mix_of(blocks)
    prompt = float(tokens[:, 1].sum())
    demand, input_ratio, output_ratio = match
    known = [limit for _, limit in gpus if limit]
    return Pool(
        *key,
        gpus=_mean(recent, 1),
        nodes=_mean(recent, 2),
        engines=_mean(recent, 3),
        products=tuple(sorted({name for name, _ in gpus if name} or rows.products - {""})),
        limit_w=float(np.mean(known)) if known else None,
        cached=float(tokens[:, 2].sum()) / prompt if prompt else 0.0,
        input_ratio=input_ratio,
        output_ratio=output_ratio,
        demand=demand,
        prefill_share=mix.prefill,
        highest=mix.highest,
        limits=limits(blocks),
        watts=_watts(rows, dict(zip(at, zip(blocks.prefill, blocks.decode, strict=True), strict=True))),
        blocks_from=at[0] if at else span.start,
        blocks_until=(at[-1] + span.block_s) if at else span.end,
        block_s=span.block_s,
        simulated=any(row[4] for row in readings),
    )


def _watts(rows: _Pool, load: Mapping[int, tuple[float, float]]) -> Line | None:
    """Power of one GPU against its load."""
    at = [each for each in rows.power if each in load and rows.power[each][1] > 0]
    if len(at) < LEAST_BLOCKS_W:
        return None
    prefill, decode = np.array([load[each] for each in at]).T
    watts = np.array([rows.power[each][0] / rows.power[each][1] for each in at])
    base, per_prefill, per_decode = robust(prefill, decode, watts)
    return Line(max(base, 0.0), per_prefill, per_decode)


def _owned(last: int, gpus: Sequence[tuple[Any, ...]]) -> dict[PoolKey, list[tuple[str, float | None]]]:
    """Product and limit of each pool's GPUs."""
    known = {(row[0], row[1]): (str(row[4]), row[5]) for row in gpus}
    found: dict[PoolKey, list[tuple[str, float | None]]] = defaultdict(list)
    for model, region, cluster, node, gpu in _run(PoolGpus(last - LAST_KNOWN_S, last + 60)):
        if (node, gpu) in known:
            found[model, region, cluster].append(known[node, gpu])
    return found


def _sites(gpus: Sequence[tuple[Any, ...]], seen: _Seen) -> tuple[Site, ...]:
    by_place: dict[Place, list[tuple[Any, ...]]] = defaultdict(list)
    for row in gpus:
        by_place[row[2], row[3]].append(row)
    found = []
    for (region, cluster), rows in sorted(by_place.items()):
        allowed, drawn = [row[5] for row in rows], [row[6] for row in rows if row[6] is not None]
        told = all(allowed)  # the limit of some GPUs is no limit of the cluster
        unclaimed = seen.unclaimed.get((region, cluster), [])
        found.append(
            Site(
                region,
                cluster,
                len(rows),
                float(sum(allowed)) if told else None,
                float(np.median(unclaimed)) if unclaimed else 0.0,
                float(sum(drawn)) if drawn else None,
            )
        )
    return tuple(found)


def _mean(rows: Sequence[tuple[Any, ...]], which: int) -> float:
    return float(np.mean([row[which] for row in rows])) if rows else 0.0


def _run(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S).rows
