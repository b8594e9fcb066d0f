"""Rows of gpu_samples and engine_samples, put there directly: for tests of what comes after ingest."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from metering.clickhouse import client
from metering.telemetry import rollups
from metering.telemetry.spans import Span, minute_of
from tests.metering.rows import empty_tables

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def recent_hour(hours_ago: int = 3) -> datetime:
    """A whole hour that lies some hours back: raw samples are kept for days only."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)


def own_node() -> str:
    """The name of a node that no other test uses."""
    return f"node-{uuid.uuid4().hex[:12]}"


def insert_gpus(node: str, *rows: dict[str, Any]) -> None:
    """Each row: `time`, and any column; ingested a second later unless it says otherwise."""
    defaults = {"gpu": "GPU-0", "mig": "", "source": "nvml", "throttle": [], "throttle_known": False}
    _insert("gpu_samples", {"node": node} | defaults, rows)


def insert_engines(node: str, *rows: dict[str, Any]) -> None:
    defaults = {"engine": "e0", "engine_kind": "vllm", "up": True, "model": "m", "gpus": ["GPU-0"]}
    _insert("engine_samples", {"node": node} | defaults, rows)


def work_up(until: datetime) -> None:
    """The minutes of the last quarter of an hour before `until` and the one that goes on, as a worker does, so that history has them."""
    now = minute_of(until)
    rollups.write(Span(now - 15 * MINUTE, now + MINUTE))


def _insert(table: str, defaults: dict[str, Any], rows: tuple[dict[str, Any], ...]) -> None:
    batch = uuid.uuid4()
    full = [
        defaults | {"batch": batch, "row": index, "ingested_at": row["time"] + SECOND} | row
        for index, row in enumerate(rows)
    ]
    columns = sorted({name for row in full for name in row})
    client.insert("test_rows", table, columns, [[row.get(name) for row in full] for name in columns])


def every(step: timedelta, start: datetime, end: datetime) -> list[datetime]:
    """The moments of `[start, end)`."""
    return [start + step * index for index in range(-((start - end) // step))]


def minutes_of(table: str, node: str) -> list[dict[str, Any]]:
    """What a table of minutes holds of a node, in order."""
    with client.connection() as link:
        rows, columns = link.execute(
            f"SELECT * FROM {table} FINAL WHERE node = %(node)s ORDER BY ALL", {"node": node}, with_column_types=True
        )
    return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]


# Every table of GPUs and engines.
TELEMETRY = (
    "gpu_samples",
    "engine_samples",
    "gpu_recent",
    "engine_recent",
    "gpu_minute",
    "engine_minute",
    "saturation_minute",
    "gpu_steps",
    "engine_steps",
    "saturation_steps",
)


def forget_telemetry() -> None:
    """No GPU or engine of another test is in the fleet."""
    empty_tables(*TELEMETRY)
