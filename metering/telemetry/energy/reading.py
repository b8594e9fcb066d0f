"""Reading what the energy of some nodes in a span is computed from: samples and requests from ClickHouse, coefficients from PostgreSQL."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy import (
    Around,
    EngineClaims,
    EngineReadings,
    GpuNeighbours,
    GpuReadings,
    NodesSeen,
    RestedHours,
)
from metering.clickhouse.queries.energy_requests import RequestsByNode, RequestTimes
from metering.energy_models import EnergyCoefficients
from metering.telemetry.energy import counters
from metering.telemetry.energy.arrays import Floats, floats
from metering.telemetry.energy.coefficients import Book, Coefficients
from metering.telemetry.energy.inputs import Block, Claim, Engine, Gpu, Label
from metering.telemetry.energy.requests import NONE, Requests
from metering.telemetry.energy.rest import HOURS_BACK, RestingHour
from metering.telemetry.energy.segments import ALWAYS_GAP_S, Readings, segments
from metering.telemetry.spans import MINUTE, Span

TIMEOUT_S = 120.0
MOST_ROWS = 1_000_000
SECOND_MS = 1000
MARGIN = timedelta(seconds=ALWAYS_GAP_S)  # samples further from an edge are found as neighbours
CLAIM_HOLDS = 10 * MINUTE  # what an engine said of its GPUs, while it is not heard of
MOST_REQUESTS = 300_000  # of the nodes that are worked up together, unless one has more
Series = tuple[str, str]  # node and engine, or node and GPU
HOUR_S = 3600


def shares_of_nodes(span: Span, look: int) -> list[tuple[str, ...]]:
    """The nodes that were heard of around the span, in shares that are not too much at once: a group of GPUs is of one node."""
    nodes = tuple(row[0] for row in _rows(NodesSeen(span.start_ms, span.end_ms)))
    if not nodes:
        return []
    held = {node: int(count) for node, count in _rows(RequestsByNode(_widely(span, look, nodes)))}
    found: list[list[str]] = [[]]
    left = MOST_REQUESTS
    for node in nodes:
        if found[-1] and held.get(node, 0) > left:
            found.append([])
            left = MOST_REQUESTS
        found[-1].append(node)
        left -= held.get(node, 0)
    return [tuple(share) for share in found]


def block(span: Span, look: int, nodes: tuple[str, ...]) -> Block:
    """`look`: within how many minutes a surplus may be made good. Raises ClickHouseUnavailable or ClickHouseRefused."""
    requests, labels = _requests(_rows(RequestTimes(_widely(span, look, nodes))))
    return Block(
        start_s=moments.seconds(span.start),
        windows=span.minutes,
        look=look,
        gpus=tuple(_gpus(span, nodes)),
        engines=_engines(span, look, nodes, requests),
        labels=labels,
        book=book(span),
    )


def book(span: Span) -> Book:
    """The coefficients that are in use in a span: the latest of each model and product before it, and those that begin in it."""
    used = EnergyCoefficients.objects.filter(accepted=True)
    latest = (
        used.filter(effective_from__lte=span.start)
        .order_by("model", "product", "simulated", "-effective_from", "-id")
        .distinct("model", "product", "simulated")
    )
    beginning = used.filter(effective_from__gt=span.start, effective_from__lt=span.end)
    return Book.of(_coefficients(row) for row in (*latest, *beginning))


def _coefficients(row: EnergyCoefficients) -> Coefficients:
    return Coefficients(
        id=row.pk,
        model=row.model,
        product=row.product,
        simulated=row.simulated,
        prefill_j=row.prefill_j,
        prefill_context_j=row.prefill_context_j,
        decode_j=row.decode_j,
        from_s=moments.seconds(row.effective_from),
    )


def _widely(span: Span, look: int, nodes: tuple[str, ...]) -> Around:
    """With the windows in which a surplus of the span may come about or be made good."""
    around = 2 * look * MINUTE
    return _around(span, around + MARGIN, around + MARGIN, nodes)


def _around(span: Span, before: timedelta, after: timedelta, nodes: tuple[str, ...]) -> Around:
    one = timedelta(milliseconds=1)
    return Around(span.start_ms, span.end_ms, before // one, after // one, nodes)


def _gpus(span: Span, nodes: tuple[str, ...]) -> Iterable[Gpu]:
    around = _around(span, MARGIN, MARGIN, nodes)
    near = {(row[0], row[1]): row for row in _rows(GpuReadings(around))}
    far = {(row[0], row[1]): row for row in _rows(GpuNeighbours(around))}
    for key in sorted(near.keys() | far.keys()):
        node, gpu, product, region, cluster, simulated = (near.get(key) or far[key])[:6]
        yield Gpu(
            node, gpu, product, region, cluster, bool(simulated), segments(_readings(near.get(key), far.get(key)))
        )


def _readings(near: tuple[Any, ...] | None, far: tuple[Any, ...] | None) -> Readings:
    """The samples around the span, and the nearest beyond: a gap may reach across all of it."""
    columns = [list(values) for values in near[6:9]] if near else [[], [], []]
    if far:
        before, last, after, first = far[6:10]
        for many, reading in ((before, last), (after, first)):
            if many:
                for column, value in zip(columns, reading, strict=True):
                    column.append(value)
    return Readings(*(floats(column) for column in columns))


def _engines(span: Span, look: int, nodes: tuple[str, ...], requests: Mapping[Series, Requests]) -> tuple[Engine, ...]:
    widely = _widely(span, look, nodes)
    claims = _claims(_rows(EngineClaims(_around(span, CLAIM_HOLDS, timedelta(), nodes))), span.minutes)
    readings = {(row[0], row[1]): _engine_readings(row[2:]) for row in _rows(EngineReadings(widely))}
    rested = _rested(span, nodes)
    silent = _engine_readings(([],) * 7)
    return tuple(
        Engine(*key, claimed, readings.get(key, silent), requests.get(key, NONE), tuple(rested[key]))
        for key, claimed in sorted(claims.items())
    )


def _engine_readings(columns: Iterable[Any]) -> counters.EngineReadings:
    at, *values = (floats(column) for column in columns)
    order = np.argsort(at, kind="stable")
    return counters.EngineReadings(at[order], *(column[order] for column in values))


def _claims(rows: Iterable[tuple[Any, ...]], windows: int) -> dict[Series, tuple[Claim | None, ...]]:
    """By engine and window: the last claim up to its end that still holds."""
    said: defaultdict[Series, dict[int, Claim]] = defaultdict(dict)
    for node, engine, minute, gpus, model, region, cluster, simulated in rows:
        said[node, engine][int(minute)] = Claim(tuple(gpus), model, region, cluster, bool(simulated))
    holds = CLAIM_HOLDS // MINUTE
    found = {}
    for key, by_minute in said.items():
        latest = [
            max((at for at in by_minute if window - holds <= at <= window), default=None) for window in range(windows)
        ]
        if any(at is not None for at in latest):
            found[key] = tuple(None if at is None else by_minute[at] for at in latest)
    return found


def _rested(span: Span, nodes: tuple[str, ...]) -> Mapping[Series, list[RestingHour]]:
    start = moments.seconds(span.start)
    query = RestedHours((start // HOUR_S - HOURS_BACK) * HOUR_S, start, nodes)
    found: defaultdict[Series, list[RestingHour]] = defaultdict(list)
    for node, engine, hour, joules, seconds, lowest in _rows(query):
        found[node, engine].append(RestingHour(int(hour), joules, seconds, lowest))
    return found


def _requests(rows: Iterable[tuple[Any, ...]]) -> tuple[dict[Series, Requests], tuple[Label, ...]]:
    """By engine, from rows by engine, tenant, model and tier; and what their labels number."""
    columns: defaultdict[Series, list[list[Floats]]] = defaultdict(lambda: [[] for _ in range(7)])
    labels: dict[Label, int] = {}
    for node, engine, tenant, model, tier, *arrays in rows:
        number = labels.setdefault(Label(tenant, model, tier), len(labels))
        *held, numbers = columns[node, engine]
        for column, values in zip(held, arrays, strict=True):
            column.append(floats(values))
        numbers.append(np.full(len(arrays[0]), float(number)))
    found = {}
    for key, parts in columns.items():
        begin, first, end, prefill, cached, output, number_of = (np.concatenate(column) for column in parts)
        found[key] = Requests(begin, first, end, prefill, cached, output, number_of.astype(np.int64))
    return found, tuple(labels)


def _rows(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_ROWS).rows
