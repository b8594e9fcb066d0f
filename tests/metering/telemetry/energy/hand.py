"""Blocks made by hand: GPUs, engines and requests as plain numbers, and the rows that come out. Times are seconds from the first window.

Requests are placed and pay here one by one, minute by minute and second by second, so that what the code does at once can be compared.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metering.telemetry.energy.blocks import Attributed, attribute
from metering.telemetry.energy.coefficients import Book, Coefficients
from metering.telemetry.energy.counters import EngineReadings
from metering.telemetry.energy.inputs import Block, Claim, Engine, Gpu, Label
from metering.telemetry.energy.requests import Requests
from metering.telemetry.energy.rest import RestingHour
from metering.telemetry.energy.rows import attributed_rows, window_rows
from metering.telemetry.energy.segments import Readings, segments

TENANTS = ("a", "b", "c")
START_S = 1_790_000_040  # on a whole minute
NAN = math.nan
UNTIL = 600.0
# 2 J for a prompt token whatever its context, at least 10 J for an output token, from the beginning of time.
BOOK = Book.of([Coefficients(7, "m", "H100", False, 2.0, 0.0, 10.0, 0)])
QUIET = [{"at": at * 10.0} for at in range(61)]
Reading = tuple[float, float, float]  # second, joules, watts


@dataclass(frozen=True)
class Request:
    """`first` is when the first token came, `begin` when it left the queue; both are `end` for a request without latencies."""

    end: float
    begin: float
    first: float
    prefill: float = 100.0
    output: float = 10.0
    cached: float = 0.0
    tenant: str = "a"
    engine: str = "e0"


def ran(begin: float, end: float, prefill_s: float = 1.0, **given: Any) -> Request:
    return Request(end, begin, min(begin + prefill_s, end), **given)


def readings(*values: Reading) -> Readings:
    return Readings(*(np.array(column, dtype=np.float64) for column in zip(*values, strict=True)))


def drawing(watts: float, until: float, *, begin: float = 0.0, step: float = 10.0) -> list[Reading]:
    """Samples of a GPU that draws the same all the time, its counter beginning at 1 MJ."""
    count = round((until - begin) / step) + 1
    return [(begin + n * step, 1e6 + n * step * watts, watts) for n in range(count)]


def by_load(
    busy: Sequence[tuple[float, float]], until: float, idle_w: float, busy_w: float, step: float = 10.0
) -> list[Reading]:
    """Samples of a GPU that draws `busy_w` in the intervals and `idle_w` outside of them."""

    def joules(at: float) -> float:
        worked = sum(max(0.0, min(at, end) - max(start, 0.0)) for start, end in busy)
        return idle_w * at + (busy_w - idle_w) * worked

    return [(n * step, 1e6 + joules(n * step), NAN) for n in range(round(until / step) + 1)]


def gpu(name: str, samples: Iterable[Reading], *, product: str = "H100", node: str = "n0") -> Gpu:
    return Gpu(node, name, product, "eu", "c1", False, segments(readings(*samples)))


def engine(
    name: str,
    gpus: Sequence[str],
    samples: Sequence[dict[str, float]],
    requests: Sequence[Request] = (),
    *,
    windows: int,
    node: str = "n0",
    model: str = "m",
    rested: tuple[RestingHour, ...] = (),
) -> Engine:
    """Each sample: `at`, and any counter; those that are not given are 0."""
    names = ("at", "running", "prompt", "cached", "generated", "finished", "aborted")
    columns = (np.array([sample.get(name, 0.0) for sample in samples], dtype=np.float64) for name in names)
    own = [request for request in requests if request.engine == name]
    fields = ("begin", "first", "end", "prefill", "cached", "output")
    label = np.array([TENANTS.index(request.tenant) for request in own], dtype=np.int64)
    times = Requests(*(np.array([getattr(r, field) for r in own], dtype=np.float64) for field in fields), label)
    claim = Claim(tuple(gpus), model, "eu", "c1", False)
    return Engine(node, name, (claim,) * windows, EngineReadings(*columns), times, rested)


def counting(
    requests: Sequence[Request], until: float, *, begin: float = 0.0, step: float = 10.0, engine: str = "e0"
) -> list[dict[str, float]]:
    """Samples of an engine that served exactly these requests: prompts counted at the first token, output evenly."""
    own = [request for request in requests if request.engine == engine]

    def made(request: Request, at: float) -> float:
        if request.end == request.first:
            return request.output * (request.end < at)
        return request.output * min(max((at - request.first) / (request.end - request.first), 0.0), 1.0)

    return [
        {
            "at": at,
            "running": sum(request.begin <= at < request.end for request in own),
            "prompt": sum((request.prefill + request.cached) * (request.first < at) for request in own),
            "cached": sum(request.cached * (request.first < at) for request in own),
            "generated": sum(made(request, at) for request in own),
            "finished": sum(request.end < at for request in own),
        }
        for at in (begin + n * step for n in range(round((until - begin) / step) + 1))
    ]


def placed(requests: Sequence[Request], windows: int) -> list[dict[str, Any]]:
    """By engine, window and tenant: what falls into it, one request and one window at a time."""
    held: defaultdict[tuple[str, int, str], list[float]] = defaultdict(lambda: [0.0] * 3)
    for request in requests:
        for window in range(windows):
            low, high = 60.0 * window, 60.0 * (window + 1)
            parts = (
                request.prefill * _part(request.begin, request.first, low, high),
                request.output * _part(request.first, request.end, low, high),
                float(low <= request.end < high),
            )
            if any(parts) or (request.begin < high and request.end >= low):
                cell = held[request.engine, window, request.tenant]
                for position, part in enumerate(parts):
                    cell[position] += part
    return [
        {
            "engine": engine,
            "window": window,
            "tenant": tenant,
            "prefill": cell[0],
            "decode": cell[1],
            "requests": cell[2],
        }
        for (engine, window, tenant), cell in sorted(held.items())
    ]


def _part(start: float, end: float, low: float, high: float) -> float:
    if end > start:
        return max(0.0, min(end, high) - max(start, low)) / (end - start)
    return float(low <= end < high)


def block(
    gpus: Sequence[Gpu],
    engines: Sequence[Engine],
    *,
    windows: int,
    look: int = 4,
    book: Book | None = None,
) -> Block:
    labels = tuple(Label(tenant, "m", "standard") for tenant in TENANTS)
    return Block(START_S, windows, look, tuple(gpus), tuple(engines), labels, book or Book())


@dataclass(frozen=True)
class Rows:
    """The rows of energy_windows and energy_attributed as dictionaries."""

    found: Attributed
    windows: list[dict[str, Any]]
    tenants: list[dict[str, Any]]

    def of(self, engine: str) -> list[dict[str, Any]]:
        """In order of their windows."""
        return sorted((row for row in self.windows if row["engine"] == engine), key=lambda row: row["window_start"])

    def column(self, name: str, engine: str = "e0") -> list[float]:
        return [row[name] for row in self.of(engine)]

    def tenant_j(self, tenant: str, windows: int) -> list[float]:
        found = [0.0] * windows
        for row in self.tenants:
            if row["tenant"] == tenant:
                found[(int(row["window_start"].timestamp()) - START_S) // 60] += row["energy_j"]
        return found


def computed(given: Block) -> Rows:
    found = attribute(given)
    return Rows(found, window_rows(found, 1).to_pylist(), attributed_rows(found, 1).to_pylist())


TERMS = (
    "idle_j",
    "attributed_j",
    "unattributed_gap_j",
    "unattributed_no_event_j",
    "unattributed_aborted_j",
    "unattributed_no_engine_j",
)


def assert_conserved(rows: Rows) -> None:
    """Every window to 1e-6, each term not negative, the tenants' rows the windows' term, and the same for GPU-seconds."""
    tenants: defaultdict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows.tenants:
        held = tenants[row["window_start"], row["node"], row["engine"]]
        held[0] += row["energy_j"]
        held[1] += row["gpu_s"]
        assert row["energy_j"] >= 0
        assert row["gpu_s"] >= 0
    for row in rows.windows:
        joules, seconds = tenants[row["window_start"], row["node"], row["engine"]]
        assert all(row[term] >= 0 for term in TERMS), row
        assert abs(sum(row[term] for term in TERMS) - row["counter_j"]) <= 1e-6 * row["counter_j"] + 1e-9, row
        assert row["conservation_error"] <= 1e-6, row
        assert abs(joules - row["attributed_j"]) <= 1e-9 + 1e-9 * row["counter_j"]
        parts = row["idle_gpu_s"] + row["attributed_gpu_s"] + row["unattributed_gpu_s"]
        assert abs(parts - row["gpu_s"]) <= 1e-9
        assert abs(seconds - row["attributed_gpu_s"]) <= 1e-9


def one_engine(
    requests: list[Request],
    busy: list[tuple[float, float]],
    windows: int = 3,
    samples: list[dict[str, float]] | None = None,
) -> Rows:
    """An engine on one GPU that draws 100 W at rest and 500 W in `busy`."""
    readings = by_load(busy, UNTIL, 100, 500)
    running = engine("e0", ["g"], counting(requests, UNTIL) if samples is None else samples, requests, windows=windows)
    rows = computed(block([gpu("g", readings)], [running], windows=windows, book=BOOK))
    assert_conserved(rows)
    return rows
