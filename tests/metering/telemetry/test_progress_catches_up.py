"""In whatever order samples arrive, and however often processing runs in between, the minutes end up as if all had been there at once."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering.telemetry import processing, rollups
from metering.telemetry.spans import Span
from tests.metering.rows import settled
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, insert_engines, insert_gpus, minutes_of, own_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
LENGTH = 40  # minutes
STEPS = tuple(step for step in processing.STEPS if step.name == "rollups")
TABLES = ("gpu_minute", "engine_minute", "saturation_minute")
LATEST = START + 2 * LENGTH * MINUTE  # then whatever is left arrives
Rows = list[dict[str, Any]]


def samples(rng: random.Random) -> tuple[Rows, Rows]:
    """Of a GPU and its engine, with gaps, a restart and readings that come and go."""
    gpus, engines, tokens, joules = [], [], 0, 0.0
    time = START
    while time < START + LENGTH * MINUTE:
        time += timedelta(seconds=rng.choice([5, 5, 5, 10, 25, 200, 400] if rng.random() < 0.1 else [5]))
        tokens = rng.randrange(50) if rng.random() < 0.02 else tokens + rng.randrange(400)
        joules += rng.randrange(3000)
        gpus.append({"time": time, "energy_j": joules, "power_w": rng.random() * 700, "power_limit_w": 700.0})
        engines.append(
            {"time": time, "prompt_tokens": tokens, "preemptions": tokens // 999, "running": rng.random() * 50}
            | ({"waiting": rng.random() * 20, "kv_cache_usage": rng.random()} if rng.random() < 0.9 else {})
        )
    return gpus, engines


def minutes(node: str) -> list[Any]:
    kept = [
        {k: v for k, v in row.items() if k not in {"version", "node"}}
        for name in TABLES
        for row in minutes_of(name, node)
    ]
    return [repr(row) for row in kept]


@pytest.mark.parametrize("seed", range(2))
def test_late_samples_converge(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    gpus, engines = samples(rng)
    at_once, in_parts = own_node(), own_node()
    insert_gpus(at_once, *gpus)
    insert_engines(at_once, *engines)
    rollups.write(Span(START, START + LENGTH * MINUTE))

    waiting = {insert_gpus: gpus, insert_engines: engines}
    now = START + LENGTH * MINUTE / 2  # half of the time is not over when the first samples arrive
    while any(waiting.values()):
        now += timedelta(seconds=rng.randrange(60, 600))
        for insert, rows in waiting.items():
            arrives = [now > LATEST or (row["time"] < now and rng.random() < 0.3) for row in rows]
            late = [row | {"ingested_at": now - SECOND} for row, here in zip(rows, arrives, strict=True) if here]
            if late:
                insert(in_parts, *late)
            waiting[insert] = [row for row, here in zip(rows, arrives, strict=True) if not here]
        monkeypatch.setattr(timezone, "now", lambda moment=now: moment)
        settled(now)
        processing.run(steps=STEPS)
    assert processing.run(steps=STEPS)["rollups"].left == 0
    assert minutes(in_parts) == minutes(at_once)
