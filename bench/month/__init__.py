"""A month of a provider, put into the tables by ClickHouse itself: 100 million requests of 1,000 tenants, samples of 512 GPUs.

Everything is made up and deterministic in shape, not in value. It goes on for hours after the filling's begin, so that live pages have a
now however long the filling takes; tables that were kept from an earlier run are filled up to now.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "100000000"))
NODES = int(os.environ.get("BENCH_NODES", "64"))
TENANTS = int(os.environ.get("BENCH_MONTH_TENANTS", "1000"))
GPUS_PER_NODE, ENGINES_PER_NODE = 8, 2
DAYS, DAY_S = 30, 86_400
AHEAD = timedelta(hours=4)
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
    """`[start_s, end_s)` in epoch seconds; `now` is when it was filled."""

    now: datetime
    start_s: int
    end_s: int

    @property
    def requests(self) -> int:
        """How many belong into it."""
        return round(REQUESTS * (self.end_s - self.start_s) / (DAYS * DAY_S + AHEAD.total_seconds()))

    def slices(self, length_s: int) -> list[tuple[int, int]]:
        """`[from, until)` in epoch seconds, one after the other."""
        return [(at, min(at + length_s, self.end_s)) for at in range(self.start_s, self.end_s, length_s)]

    def after(self, end_s: int) -> "Month":
        """What is missing where it was filled until `end_s` already."""
        return replace(self, start_s=max(end_s, self.start_s))


def month() -> Month:
    now = datetime.now(UTC)
    end_s = int((now + AHEAD).timestamp()) // 3600 * 3600
    return Month(now, end_s - DAYS * DAY_S - int(AHEAD.total_seconds()), end_s)


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
