"""Samples as an agent sends them, and what is stored of them."""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from django.test import Client

from metering import keys
from metering.clickhouse import client
from metering.ingest import local
from metering.ingest.drain import drain

NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
PATH = "/api/v1/telemetry"
NOW_MS = time.time_ns() // 1_000_000 - 3_600_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

READINGS: dict[str, Any] = {
    "index": 3, "name": "NVIDIA H100 80GB HBM3", "region": "eu", "cluster": "c1", "gpu_utilization": 0.98,
    "memory_utilization": 0.5, "sm_active": 0.375, "sm_occupancy": 0.25, "tensor_active": 0.125, "dram_active": 0.625,
    "memory_used_bytes": 60 * 2**30, "memory_total_bytes": 80 * 2**30, "power_w": 512.25, "power_limit_w": 700.0,
    "energy_j": 123456789.125, "sm_clock_mhz": 1980, "memory_clock_mhz": 2619, "temperature_c": 61.5,
    "memory_temperature_c": 70.0, "throttle": ["sw_power_cap"], "xid_errors": 2, "xid_last": 79,
}  # fmt: skip
COUNTERS: dict[str, Any] = {
    "model": "llama-70b", "region": "eu", "cluster": "c1", "gpus": ["GPU-0", "GPU-1"], "running": 12.0, "waiting": 3.5,
    "kv_cache_usage": 0.75, "preemptions": 4, "prompt_tokens": 2**62, "cached_prompt_tokens": 10**9, "generation_tokens": 7,
    "prefix_cache_queries": 100, "prefix_cache_hits": 60, "requests_finished": 50, "requests_aborted": 5, "ttft_sum_s": 12.5,
    "ttft_count": 50, "itl_sum_s": 3.25, "itl_count": 500, "e2e_sum_s": 99.0, "e2e_count": 45, "queue_sum_s": 0.5,
    "queue_count": 50, "prefill_sum_s": 8.0, "prefill_count": 50, "decode_sum_s": 80.0, "decode_count": 49,
}  # fmt: skip


def gpu(node: str = "n1", **fields: Any) -> dict[str, Any]:
    """A good sample with nothing but what it must have; a value of None takes a field away."""
    return _given({"kind": "gpu", "time": NOW_MS, "node": node, "gpu": "GPU-0", "source": "nvml"} | fields)


def engine(node: str = "n1", **fields: Any) -> dict[str, Any]:
    return _given({"kind": "engine", "time": NOW_MS, "node": node, "engine": "vllm-0", "engine_kind": "vllm"} | fields)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def lines(*samples: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(sample).encode() for sample in samples)


def arrow(*samples: dict[str, Any], types: dict[str, pa.DataType] | None = None, **options: Any) -> bytes:
    """A stream of one kind; what a sample does not have is null."""
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    columns = {name: pa.array([each.get(name) for each in samples], (types or {}).get(name)) for name in names}
    return stream(pa.table(columns), **options)


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@dataclass
class Node:
    """A node that no other test knows, and the key that its agent sends by."""

    name: str
    key: str

    @classmethod
    def new(cls) -> "Node":
        return cls(f"node-{uuid.uuid4().hex[:12]}", keys.issue_key(None, ["ingest"]))

    @property
    def prefix(self) -> str:
        return self.key.split("_")[1]

    def gpu(self, **fields: Any) -> dict[str, Any]:
        return gpu(self.name, **fields)

    def engine(self, **fields: Any) -> dict[str, Any]:
        return engine(self.name, **fields)

    def post(
        self, body: bytes | list[dict[str, Any]], content_type: str = NDJSON, *, key: str | None = None, **more: str
    ) -> Any:
        token = self.key if key is None else key
        headers = more | ({"Authorization": f"Bearer {token}"} if token else {})
        sent = lines(*body) if isinstance(body, list) else body
        return Client().post(PATH, sent, content_type=content_type, headers=headers)

    def refusals(self, *samples: dict[str, Any]) -> list[tuple[int, str, str]]:
        """Position, field and reason of what is refused of a request."""
        answer = self.post(list(samples))
        assert answer.status_code == 202, answer.content
        assert answer.json()["accepted"] + len(answer.json()["rejected"]) == len(samples)
        return [(each["index"], each["field"], each["reason"]) for each in answer.json()["rejected"]]

    def stored(self, table: str, columns: str, order: str = "time, row") -> list[tuple[Any, ...]]:
        drain(local.spool())
        sql = f"SELECT {columns} FROM {table} WHERE node = %(node)s ORDER BY {order}"
        return client.statement("test_stored", sql, {"node": self.name})

    def quarantined(
        self, columns: str = "row, reason, field", order: str = "ingested_at, row"
    ) -> list[tuple[Any, ...]]:
        drain(local.spool())
        sql = f"SELECT {columns} FROM quarantine WHERE api_key = %(prefix)s ORDER BY {order}"
        return client.statement("test_quarantined", sql, {"prefix": self.prefix})
