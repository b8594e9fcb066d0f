"""Rows that capacity is worked out from, put there directly: hours of demand, and minutes of engines with their GPUs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from metering.clickhouse import client

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def insert_demand(model: str, start: datetime, inputs: Sequence[float], outputs: Sequence[float], **place: str) -> None:
    """Hours of demand from `start` on: one request for every thousand tokens of input."""
    where = {"tier": "standard", "region": "", "cluster": ""} | place
    count = len(inputs)
    columns: dict[str, list[Any]] = {
        "hour": [start + HOUR * index for index in range(count)],
        "model": [model] * count,
        **{name: [value] * count for name, value in where.items()},
        "ok": [max(int(value / 1000), 1) if value else 0 for value in inputs],
        "error": [0] * count,
        "cancelled": [0] * count,
        "input_tokens": [int(value) for value in inputs],
        "output_tokens": [int(value) for value in outputs],
    }
    client.insert("test_rows", "service_hour", list(columns), list(columns.values()))


def insert_pool(
    model: str,
    start: datetime,
    load: Sequence[float],
    *,
    node: str,
    region: str = "",
    cluster: str = "",
    gpus: int = 4,
    per_minute: int = 60,
    seed: int = 1,
) -> None:
    """One engine on `gpus` GPUs, minute by minute: `load` holds how full its KV cache is in each stretch of `per_minute` minutes.

    At a load of 1 it computes 1,000 prompt tokens and makes 500 a second for each GPU; it draws 200 W and 400 W more at load 1.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    at = [start + MINUTE * index for index in range(len(load) * per_minute)]
    level = np.repeat(np.asarray(load, dtype=np.float64), per_minute) * np.exp(rng.normal(0, 0.02, len(at)))
    names = [f"GPU-{node}-{index}" for index in range(gpus)]
    base = {"node": node, "engine": "e0", "model": model, "region": region, "cluster": cluster}
    same = {name: [value] * len(at) for name, value in base.items()}
    client_insert(
        "saturation_minute",
        {
            "minute": at,
            **same,
            "gpus": [float(gpus)] * len(at),
            "readings": [_readings(one) for one in level],
            "version": [1] * len(at),
        },
    )
    client_insert(
        "engine_minute",
        {
            "minute": at,
            **same,
            "gpus": [names] * len(at),
            "prompt_tokens": [int(one * 60_000 * gpus * 2) for one in level],
            "cached_prompt_tokens": [int(one * 60_000 * gpus) for one in level],
            "generation_tokens": [int(one * 30_000 * gpus) for one in level],
            "version": [1] * len(at),
        },
    )
    client_insert(
        "energy_windows",
        {
            "window_start": at,
            **same,
            "product": ["H100"] * len(at),
            "counter_j": [60.0 * gpus * (200 + 400 * float(one)) for one in level],
            "gpu_s": [60.0 * gpus] * len(at),
            "version": [1] * len(at),
        },
    )
    last = at[-1:] * gpus
    client_insert(
        "gpu_minute",
        {
            "minute": last,
            "node": [node] * gpus,
            "gpu": names,
            "mig": [""] * gpus,
            "name": ["H100"] * gpus,
            "region": [region] * gpus,
            "cluster": [cluster] * gpus,
            "power_w_mean": [400.0] * gpus,
            "power_limit_w": [700.0] * gpus,
            "version": [1] * gpus,
        },
    )


def client_insert(table: str, columns: dict[str, list[Any]]) -> None:
    client.insert("test_rows", table, list(columns), list(columns.values()))


def _readings(level: float) -> dict[str, float]:
    return {
        "kv_cache_usage": float(level) * 0.9,
        "dram_active": 0.1 + 0.4 * float(level),
        "tensor_active": 0.05 + 0.2 * float(level),
        "power_share": (200 + 400 * float(level)) / 700,
        "waiting_per_running": 0.0,
    }


def weekly(hours: int, level: float = 1.0, growth_a_week: float = 0.0, seed: int = 1) -> np.ndarray:
    """Demand with a rhythm of day and week, noise and growth, a value an hour."""
    rng = np.random.Generator(np.random.PCG64(seed))
    at = np.arange(hours)
    day = 1 + 0.5 * np.cos((at % 24 - 14) / 24 * 2 * np.pi)
    week = np.where((at // 24) % 7 >= 5, 0.7, 1.0)
    return np.asarray(level * day * week * (1 + growth_a_week) ** (at / 168) * np.exp(rng.normal(0, 0.05, hours)))
