"""The endpoint without a web server in between: what a tenant sends, and what is then stored of it."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from metering.clickhouse import client
from metering.ingest import local
from metering.ingest.drain import drain

NDJSON = "application/x-ndjson"
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"


@dataclass
class Edge:
    """`post` sends as a client would; `stored` drains the spool and returns what ClickHouse then holds of the tenant."""

    tenant: str
    key: str

    def post(self, body: Any, content_type: str = NDJSON, *, key: str | None = None, **headers: str) -> Any:
        if isinstance(body, list) and content_type == NDJSON:
            body = "\n".join(json.dumps(event) for event in body)
        elif not isinstance(body, str | bytes):
            body = json.dumps(body)
        token = self.key if key is None else key
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return Client().post("/api/v1/events", body, content_type=content_type, headers=headers)

    def stored(self, columns: str = "id", order: str = "id") -> list[tuple[Any, ...]]:
        drain(local.spool())
        sql = f"SELECT {columns} FROM requests WHERE tenant = %(tenant)s ORDER BY {order}"
        return client.statement("test_stored", sql, {"tenant": self.tenant})

    def quarantined(self, columns: str = "row, reason, field") -> list[tuple[Any, ...]]:
        drain(local.spool())
        sql = f"SELECT {columns} FROM quarantine WHERE api_key = %(prefix)s ORDER BY ingested_at, row"
        return client.statement("test_quarantined", sql, {"prefix": self.key.split("_")[1]})


def event(identity: str = "e1", **fields: Any) -> dict[str, Any]:
    """A good canonical event."""
    return {"id": identity, "model": "m", "input_tokens": 100, "output_tokens": 10} | fields


def cloudevent(identity: str = "e1", **envelope: Any) -> dict[str, Any]:
    """A good CloudEvent as the OpenMeter client sends it."""
    data = {"model": "m", "input_tokens": 100, "output_tokens": 10}
    return {"specversion": "1.0", "type": "tallywatt.request", "source": "gw", "id": identity, "data": data} | envelope


def gzipped(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)  # the same bytes in every process that names a test by them
