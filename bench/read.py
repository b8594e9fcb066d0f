"""What readers wait for: the usage query. Run after ingest has filled the tables. Pages are in pages.py."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from bench.report import Figure, figure, percentile

REPEATS = 40


def measure_usage(url: str, key: str) -> list[Figure]:
    now = datetime.now(UTC)
    query = {
        "from": (now - timedelta(days=30)).strftime("%Y-%m-%dT00:00:00Z"),
        "to": (now + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
        "window": "day",
        "group_by": "model",
    }
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        times = _timed(lambda: client.get("/api/v1/usage", params=query).raise_for_status())
    return [figure("query.usage_p95_ms", percentile(times, 0.95), note="30 days by day and model, one tenant")]


def _timed(call: Callable[[], object]) -> list[float]:
    call()  # once before the clock runs: connections and compiled templates
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times
