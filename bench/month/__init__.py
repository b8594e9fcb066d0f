"""A month of a provider, put into the tables by ClickHouse itself: 100 million requests of 1,000 tenants, samples of 512 GPUs.

Everything is made up and deterministic in shape, not in value. Time goes on for a while after the filling, so that live pages have a now.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "100000000"))
NODES = int(os.environ.get("BENCH_NODES", "64"))
TENANTS = int(os.environ.get("BENCH_MONTH_TENANTS", "1000"))
GPUS_PER_NODE, ENGINES_PER_NODE = 8, 2
DAYS = 30
AHEAD = timedelta(minutes=45)
MODELS = (
    "llama-3.1-8b",
    "llama-3.3-70b",
    "qwen3-235b",
    "deepseek-r1",
    "mistral-small",
    "gpt-oss-120b",
    "gemma-3-27b",
    "phi-4",
    "bge-m3",
    "kimi-k2",
)
REGIONS = ("eu-north-1", "us-east-1", "ap-south-1")
CLUSTERS = 4
TIERS = ("standard", "batch", "priority")


@dataclass(frozen=True)
class Month:
    """`[start, end)`; `now` is when it was filled. Seconds are epoch seconds."""

    now: datetime

    @property
    def start_s(self) -> int:
        return self.end_s - DAYS * 86_400 - int(AHEAD.total_seconds())

    @property
    def end_s(self) -> int:
        return int((self.now + AHEAD).timestamp()) // 60 * 60

    def slices(self, length_s: int) -> list[tuple[int, int]]:
        """`[from, until)` in epoch seconds, one after the other."""
        return [(at, min(at + length_s, self.end_s)) for at in range(self.start_s, self.end_s, length_s)]


def month() -> Month:
    return Month(datetime.now(UTC))


def words(values: tuple[str, ...]) -> str:
    """As an array of SQL."""
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


# Of a node's number `n`.
NODE = "concat('node-', leftPad(toString(n), 3, '0'))"
CLUSTER = f"concat('cluster-', toString(n % {CLUSTERS}))"
REGION = f"{words(REGIONS)}[n % {CLUSTERS} % {len(REGIONS)} + 1]"
# Of a node `n` and an engine's number on it `e`.
ENGINE = "concat('engine-', toString(e))"
MODEL = f"{words(MODELS)}[(n * {ENGINES_PER_NODE} + e) % {len(MODELS)} + 1]"
