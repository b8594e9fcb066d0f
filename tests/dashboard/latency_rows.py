"""Requests of one customer with latencies, some of them bad, and the engine that they ran on."""

import math
import random
import uuid
from datetime import datetime, timedelta
from typing import Any

from metering.clickhouse import client
from tests.metering.rows import insert_requests

MINUTE = timedelta(minutes=1)
NODE, ENGINE = "latency-node", "e0"


def requests(tenant: str, end: datetime, over: timedelta, count: int = 400, **fields: Any) -> None:
    """Spread over the time before `end`; the last fifth of it is three times as slow."""
    draw = random.Random(11)  # noqa: S311 - the same rows at every run
    rows = []
    for number in range(count):
        at = end - over * (1 - (number + 0.5) / count)
        slow = 3.0 if number > count * 0.8 else 1.0
        queue = slow * draw.expovariate(1 / 40)
        prompt = int(draw.lognormvariate(6.5, 1.2)) + 1
        ttft = queue + 60 + prompt * 0.05 * slow
        output = int(draw.lognormvariate(5, 0.8)) + 1
        tpot = 14 * slow * math.exp(draw.gauss(0, 0.15))
        row = {
            "id": uuid.uuid4().hex,
            "time": at,
            "ingested_at": at,
            "model": draw.choice(["llama-3.1-70b", "llama-3.1-70b", "qwen-2.5-7b"]),
            "tier": draw.choice(["standard", "standard", "batch"]),
            "region": draw.choice(["eu-west", "us-east"]),
            "cluster": draw.choice(["a", "b"]),
            "node": NODE,
            "engine": ENGINE,
            "gpus": ["GPU-0"],
            "status": "error" if draw.random() < 0.02 else "ok",
            "input_tokens": prompt,
            "cached_input_tokens": prompt // 3,
            "output_tokens": output,
            "queue_ms": queue,
            "ttft_ms": ttft,
            "tpot_ms": tpot,
            "e2e_ms": ttft + tpot * (output - 1),
        }
        rows.append(row | fields)
    insert_requests(tenant, *rows)


def engine_minutes(start: datetime, minutes: int, **fields: Any) -> None:
    """Its engine at its limit, by the minute; and its GPU, throttled by power."""
    version = 1
    for number in range(minutes):
        at = start + number * MINUTE
        place = {"minute": at, "node": NODE, "version": version, "region": "eu-west", "cluster": "a"}
        _put(
            "engine_minute",
            place
            | {
                "engine": ENGINE,
                "samples": 12,
                "up_share": 1.0,
                "running_mean": 48.0,
                "running_max": 64.0,
                "waiting_mean": 12.5,
                "waiting_max": 31.0,
                "kv_cache_usage_mean": 0.95,
                "kv_cache_usage_max": 0.99,
                "preemptions": 2,
            }
            | fields,
        )
        _put(
            "saturation_minute",
            place
            | {
                "engine": ENGINE,
                "gpus": 1.0,
                "score": 1.0,
                "constraint": "kv_cache",
                "bound": True,
                "readings": {"kv_cache_usage": 0.99, "power_share": 0.8},
            },
        )
        _put(
            "gpu_minute",
            place
            | {
                "gpu": "GPU-0",
                "samples": 12,
                "power_w_mean": 560.0,
                "power_limit_w": 700.0,
                "throttle_samples": 12,
                "throttled_share": 0.25,
                "dram_active_mean": 0.7,
                "tensor_active_mean": 0.4,
            },
        )


def _put(table: str, row: dict[str, Any]) -> None:
    names = sorted(row)
    client.insert("test_rows", table, names, [[row[name]] for name in names])
