"""One hour of the demo's traffic as columns. The same hour gives the same events each time, whoever asks.

History, live traffic and what fills the gap after a pause are slices of the same hours: a slice that is sent twice is
a duplicate and changes nothing. All latencies are modelled, and every event says so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metering.demo.latency import Latencies, latencies
from metering.demo.load import rates_rps, utilisation
from metering.demo.provider import CUSTOMERS, MODELS, SOURCE, WORKLOADS

HOUR = timedelta(hours=1)
NODES = 6
OK, ERROR, CANCELLED = 0, 1, 2
STATUSES = ("ok", "error", "cancelled")
FINISH_REASONS = ("stop", "length", "error", "cancelled")
ATTRIBUTES = (("demo", "true"), ("modelled", "queue_ms,ttft_ms,tpot_ms,e2e_ms"))

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MODEL_NAMES = tuple(model.name for model in MODELS)
_PROJECTS = tuple(dict.fromkeys(project for customer in CUSTOMERS for project in customer.projects))
_TIERS = ("standard", "priority", "batch")
_REGIONS = ("eu-north-1", "us-east-1")


@dataclass(frozen=True)
class _Draws:
    """What every request of the hour is, as indexes and counts."""

    customer: Ints
    project: Ints
    model: Ints
    tier: Ints
    node: Ints
    status: Ints
    inputs: Ints
    cached: Ints
    outputs: Ints
    reasoning: Ints
    cut: npt.NDArray[np.bool_]  # stopped at the length limit
    stream: npt.NDArray[np.bool_]


def hour(anchor: datetime, start: datetime) -> pa.Table:
    """The requests of `[start, start + 1 h)` in order of time: the canonical columns that a sender gives and the demo has."""
    seconds = int(start.timestamp())
    rng = np.random.Generator(np.random.PCG64([int(anchor.timestamp()), seconds]))
    before, after = rates_rps(anchor, start), rates_rps(anchor, start + HOUR)
    count = int(rng.poisson((before.sum() + after.sum()) / 2 * 3600))
    times_ms = seconds * 1000 + _offsets_ms(before.sum(), after.sum(), count, rng)
    customer = rng.choice(len(CUSTOMERS), size=count, p=(before + after) / (before + after).sum())
    draws = _draw(customer, seconds // 3600, rng)
    timing = latencies(
        draws.model, draws.inputs - draws.cached, draws.outputs, utilisation(anchor, start + HOUR / 2), rng
    )
    ids = [f"{seconds}-{number}" for number in range(count)]
    return _table(f"{SOURCE}:{anchor:%Y%m%d%H}", ids, times_ms, draws, timing)


def _offsets_ms(before: float, after: float, count: int, rng: np.random.Generator) -> Ints:
    """Ascending, with a density that goes straight from the rate at the hour's start to the one at its end."""
    position = rng.random(count)
    slope = (after - before) / (after + before)
    if abs(slope) > 1e-9:  # the inverse of the distribution function x (1 - s) + s x^2
        position = (np.sqrt((1 - slope) ** 2 + 4 * slope * position) - (1 - slope)) / (2 * slope)
    return np.sort((position * 3_600_000).astype(np.int64)).clip(0, 3_599_999)


def _draw(customer: Ints, hour_number: int, rng: np.random.Generator) -> _Draws:
    count = len(customer)
    model = _chosen(customer, [_shares(one.models, _MODEL_NAMES) for one in CUSTOMERS], rng)
    loads = [WORKLOADS[one.workload] for one in CUSTOMERS]
    context = np.array([one.context for one in MODELS])[model]
    embeds = np.array([one.embeds for one in MODELS])[model]

    def of(values: list[float]) -> Floats:
        return np.array(values, dtype=np.float64)[customer]

    limit = (context * 3) // 4
    inputs = _lognormal(of([w.input_median for w in loads]), of([w.input_sigma for w in loads]), rng).clip(1, limit)
    inputs = np.where(embeds, inputs.clip(1, 8_000), inputs)
    wished = _lognormal(of([w.output_median for w in loads]), of([w.output_sigma for w in loads]), rng).clip(1, None)
    cut = wished > 8_192
    outputs = wished.clip(1, 8_192)
    status = _statuses(model, hour_number, rng)
    outputs = np.where(status == CANCELLED, (outputs * rng.random(count)).astype(np.int64), outputs)
    outputs = np.where((status == ERROR) | embeds, 0, outputs)
    hit = (rng.random(count) < of([w.cache_hits for w in loads])) & ~embeds
    cached = (inputs * of([w.cached_share for w in loads]) * rng.random(count)).astype(np.int64) // 16 * 16  # KV blocks
    reasoning_share = np.array([one.reasoning_share for one in MODELS])[model]
    reasoning = np.floor(outputs * (reasoning_share * rng.beta(4, 2, count) * 1.5).clip(0, 1)).astype(np.int64)
    stream = (rng.random(count) < of([w.streams for w in loads])) & ~embeds
    return _Draws(
        customer=customer,
        project=_chosen(customer, [_evenly(one.projects, _PROJECTS) for one in CUSTOMERS], rng),
        model=model,
        tier=_chosen(customer, [_shares(dict(one.tiers), _TIERS) for one in CUSTOMERS], rng),
        node=rng.integers(NODES, size=count),
        status=status,
        inputs=inputs,
        cached=np.where(hit, cached, 0),
        outputs=outputs,
        reasoning=reasoning,
        cut=cut,
        stream=stream,
    )


def _statuses(model: Ints, hour_number: int, rng: np.random.Generator) -> Ints:
    """A few per cent fail or are given up; about one hour in a hundred, one model has an incident."""
    failing = np.full(len(MODELS), 0.006)
    if (hour_number * 2_654_435_761) % 2**32 < 2**32 // 100:  # a fixed scatter of hours (Knuth's multiplicative hash)
        failing[hour_number % (len(MODELS) - 1)] = 0.15
    drawn = rng.random(len(model))
    failed = drawn < failing[model]
    given_up = ~failed & (drawn > 0.978) & ~np.array([one.embeds for one in MODELS])[model]
    return np.where(failed, ERROR, np.where(given_up, CANCELLED, OK))


def _lognormal(median: Floats, sigma: Floats, rng: np.random.Generator) -> Ints:
    return np.exp(np.log(median) + sigma * rng.standard_normal(len(median))).astype(np.int64)


def _chosen(customer: Ints, shares: list[Floats], rng: np.random.Generator) -> Ints:
    """For every request one of its customer's options; `shares[c]` are customer c's, of any sum."""
    cumulated = np.cumsum(np.array(shares), axis=1)
    cumulated = (cumulated / cumulated[:, -1:])[customer]  # the last is exactly 1: no draw falls past the end
    index: Ints = (rng.random(len(customer))[:, None] >= cumulated).sum(axis=1)
    return index


def _table(source: str, ids: list[str], times_ms: Ints, draws: _Draws, timing: Latencies) -> pa.Table:
    count = len(times_ms)
    customer, model, status = draws.customer, draws.model, draws.status
    served = status != ERROR
    region = np.array([_REGIONS.index(one.region) for one in CUSTOMERS])[customer]
    finish = np.select([status == ERROR, status == CANCELLED, draws.cut], [2, 3, 1], 0)
    operation = np.where(np.array([one.embeds for one in MODELS])[model], 1, 0)
    streamed = served & draws.stream & (draws.outputs > 0)
    columns = {
        "id": pa.array(ids, pa.string()),
        "source": _repeated(source, count),
        "time": pa.array(times_ms, pa.timestamp("ms", "UTC")),
        "tenant": _named([one.key for one in CUSTOMERS], customer),
        "project": _named(_PROJECTS, draws.project),
        "model": _named(_MODEL_NAMES, model),
        "operation": _named(("chat", "embedding"), operation),
        "tier": _named(_TIERS, draws.tier),
        "status": _named(STATUSES, status),
        "finish_reason": _named(FINISH_REASONS, finish),
        "input_tokens": pa.array(draws.inputs, pa.uint64()),
        "cached_input_tokens": pa.array(draws.cached, pa.uint64()),
        "output_tokens": pa.array(draws.outputs, pa.uint64()),
        "reasoning_tokens": pa.array(draws.reasoning, pa.uint64()),
        "queue_ms": _milliseconds(timing.queue_ms, served),
        "ttft_ms": _milliseconds(timing.ttft_ms, streamed),
        "tpot_ms": _milliseconds(timing.tpot_ms, streamed & (draws.outputs > 1)),
        "e2e_ms": _milliseconds(timing.e2e_ms, served),
        "region": _named(_REGIONS, region),
        "cluster": _named([f"{name}-a" for name in _REGIONS], region),
        "node": _named([f"node-{number + 1:02d}" for number in range(NODES)], draws.node),
        "engine": _repeated("vllm", count),
        "stream": pa.array(draws.stream),
        "attributes": _attributes(count),
    }
    return pa.table(columns)


def _shares(of: dict[str, float], names: tuple[str, ...]) -> Floats:
    return np.array([of.get(name, 0.0) for name in names])


def _evenly(chosen: tuple[str, ...], names: tuple[str, ...]) -> Floats:
    return _shares(dict.fromkeys(chosen, 1.0), names)


def _named(names: list[str] | tuple[str, ...], index: Ints) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(index.astype(np.int32), pa.array(names, pa.string()))


def _repeated(text: str, count: int) -> pa.DictionaryArray:
    return _named((text,), np.zeros(count, np.int64))


def _milliseconds(values: Floats, known: npt.NDArray[np.bool_]) -> pa.Array:
    """Null where it is not known."""
    return pa.array(values.astype(np.float32), mask=~known)


def _attributes(count: int) -> pa.Array:
    names, values = zip(*ATTRIBUTES, strict=True)
    width = len(ATTRIBUTES)
    offsets = pa.array(np.arange(0, (count + 1) * width, width, dtype=np.int32))
    return pa.MapArray.from_arrays(
        offsets, pa.array(list(names) * count, pa.string()), pa.array(list(values) * count, pa.string())
    )
