"""Rows of the table `meter_events`, put there directly, and meters of a test's own."""

import json
import uuid
from typing import Any

from metering import meters
from metering.clickhouse import client
from metering.meters import MeterInfo
from tests.metering.rows import NOON


def insert_meter_events(tenant: str, event_type: str, *rows: dict[str, Any]) -> None:
    """Each row: `id`, `data` (any JSON value in an object), and any column; `time` and `ingested_at` default to NOON."""
    defaults: dict[str, Any] = {
        "tenant": tenant,
        "type": event_type,
        "source": "",
        "time": NOON,
        "time_given": True,
        "observed": False,
        "ingested_at": NOON,
    }
    full = [defaults | {"batch": uuid.uuid4(), "row": 0} | row for row in rows]
    for row in full:
        row["data"] = row["data"] if isinstance(row["data"], str) else json.dumps(row["data"])
    columns = sorted({name for row in full for name in row})
    client.insert("test_rows", "meter_events", columns, [[row[name] for row in full] for name in columns])


def define(aggregation: str = "SUM", **given: Any) -> MeterInfo:
    """A meter and an event type that no other test uses: it reads `$.v`, or counts."""
    name = uuid.uuid4().hex[:12]
    value = {} if aggregation == "COUNT" else {"value_path": "$.v"}
    return meters.create(f"m_{name}", **({"event_type": f"type.{name}", "aggregation": aggregation} | value | given))
