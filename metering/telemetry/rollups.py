"""Telemetry per minute: what GPUs and engines reported, and how saturated each engine was. All of it follows from raw samples
alone, so a minute is worked up as often as need be; raw samples are never deleted before, so no row of it ever vanishes."""

import time
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

import pyarrow as pa

from metering.clickhouse import client
from metering.clickhouse.queries.saturation import SaturationSlices
from metering.clickhouse.queries.telemetry_minutes import WriteEngineMinutes, WriteGpuMinutes
from metering.telemetry import step_rollups
from metering.telemetry.engine_readings import EngineReadings, readings_of, weights
from metering.telemetry.saturation import Saturation, saturation, worse
from metering.telemetry.settings import saturation_points
from metering.telemetry.spans import Span

TIMEOUT_S = 120.0
SLICE_MS = (
    30_000  # two to a minute: long enough to hold some samples, short enough to name a constraint within a minute
)
MINUTE_MS = 60_000
LABEL = pa.dictionary(pa.int32(), pa.string())
SATURATION_MINUTE = pa.schema(
    [
        ("minute", pa.timestamp("s", "UTC")),
        ("node", LABEL),
        ("engine", LABEL),
        ("model", LABEL),
        ("region", LABEL),
        ("cluster", LABEL),
        ("simulated", pa.bool_()),
        ("gpus", pa.float32()),
        ("score", pa.float32()),
        ("constraint", LABEL),
        ("bound", pa.bool_()),
        ("readings", pa.map_(pa.string(), pa.float32())),
        ("missing", pa.list_(pa.string())),
        ("version", pa.uint64()),
    ]
)


def write(span: Span) -> None:
    """Work up the minutes of `span` and the longer steps that hold them, and replace what was written for them before.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    version = time.time_ns() // 1000
    for query in (
        WriteGpuMinutes(span.start_ms, span.end_ms, version),
        WriteEngineMinutes(span.start_ms, span.end_ms, version),
    ):
        text, parameters = query.sql()
        client.statement(query.name, text, parameters, timeout_s=TIMEOUT_S)
    rows = saturation_rows(span, version)
    if rows.num_rows:
        client.insert_columns("telemetry_saturation_minutes", "saturation_minute", rows, timeout_s=TIMEOUT_S)
    step_rollups.write(span.start, span.end, version)


def saturation_rows(span: Span, version: int) -> pa.Table:
    """Rows of saturation_minute, computed from raw samples: of the slices of a minute, the worse."""
    query = SaturationSlices(span.start_ms, span.end_ms, SLICE_MS)
    found = [readings_of(row) for row in client.run(query, timeout_s=TIMEOUT_S).rows]
    columns: dict[str, list[object]] = {name: [] for name in SATURATION_MINUTE.names}
    for _, minute in groupby(found, key=_minute):
        _add_minute(columns, list(minute), version)
    return pa.table(columns, SATURATION_MINUTE)


def _minute(found: EngineReadings) -> int:
    return found.slice // MINUTE_MS * MINUTE_MS


def _add_minute(columns: dict[str, list[object]], found: list[EngineReadings], version: int) -> None:
    points = saturation_points()
    found.sort(key=attrgetter("node", "engine", "slice"))
    engines = [list(slices) for _, slices in groupby(found, key=attrgetter("node", "engine"))]
    shares = weights([slices[-1] for slices in engines])
    for slices in engines:
        latest = slices[-1]
        state = _worst(saturation(each.readings, points) for each in slices)
        values = (
            _minute(latest) // 1000,
            latest.node,
            latest.engine,
            latest.model,
            latest.region,
            latest.cluster,
            latest.simulated,
            shares[latest.node, latest.engine],
            state.score,
            state.constraint,
            state.bound,
            list(state.readings.items()),
            list(state.missing),
            version,
        )
        for name, value in zip(SATURATION_MINUTE.names, values, strict=True):
            columns[name].append(value)


def _worst(states: Iterable[Saturation]) -> Saturation:
    first, *others = states
    for other in others:
        first = worse(first, other)
    return first
