"""A node with samples and requests in ClickHouse, and the energy rows that the step writes for it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from metering.telemetry.energy.writing import write
from metering.telemetry.spans import Span
from tests.metering.rows import insert_requests
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    insert_engines,
    insert_gpus,
    minutes_of,
    own_node,
    recent_hour,
)

IDLE_W, BUSY_W = 100.0, 500.0


@dataclass
class Scene:
    """Times are given in seconds from `start`."""

    tenant: str
    start: datetime = field(default_factory=recent_hour)
    node: str = field(default_factory=own_node)

    def at(self, second: float) -> datetime:
        return self.start + timedelta(seconds=second)

    def gpu(self, *readings: tuple[float, float | None, float | None], **columns: Any) -> None:
        """Each: second, joules, watts."""
        insert_gpus(
            self.node,
            *({"time": self.at(at), "energy_j": joules, "power_w": watts} | columns for at, joules, watts in readings),
        )

    def steady_gpu(self, until: float, watts: float, *, begin: float = 0, step: float = 10, **columns: Any) -> None:
        """A GPU that draws the same from `begin` to `until`, both included."""
        count = int((until - begin) / step) + 1
        self.gpu(*((begin + n * step, n * step * watts, watts) for n in range(count)), **columns)

    def engine(self, *samples: tuple[float, dict[str, Any]], **columns: Any) -> None:
        """Each: second and columns; counters that are not given are 0."""
        usual = {
            "running": 0.0,
            "prompt_tokens": 0,
            "cached_prompt_tokens": 0,
            "generation_tokens": 0,
            "requests_finished": 0,
            "requests_aborted": 0,
        }
        insert_engines(self.node, *(usual | {"time": self.at(at)} | columns | given for at, given in samples))

    def quiet_engine(self, until: float, *, begin: float = 0, step: float = 10, **columns: Any) -> None:
        """An engine whose counters stand still, from `begin` to `until`."""
        self.engine(*((begin + n * step, {}) for n in range(int((until - begin) / step) + 1)), **columns)

    def request(self, end: float, seconds: float | None = None, **columns: Any) -> None:
        """A request that ended at `end` and ran for so long; it arrived a second later."""
        time = self.at(end)
        latency = {} if seconds is None else {"e2e_ms": seconds * 1000}
        row = {
            "id": f"r-{end}-{seconds}-{columns.get('tier', '')}",
            "time": time,
            "ingested_at": time + SECOND,
            "node": self.node,
            "engine": "e0",
            "cached_input_tokens": 0,
        }
        tenant = columns.pop("tenant", self.tenant)
        insert_requests(tenant, row | latency | columns)

    def span(self, minutes: int, first: int = 0) -> Span:
        return Span(self.start + first * MINUTE, self.start + (first + minutes) * MINUTE)

    def windows(self, minutes: int | None = None, first: int = 0) -> list[dict[str, Any]]:
        """The node's rows of energy_windows; written before if `minutes` says how many."""
        if minutes is not None:
            write(self.span(minutes, first))
        return minutes_of("energy_windows", self.node)

    def attributed(self) -> list[dict[str, Any]]:
        return minutes_of("energy_attributed", self.node)


__all__ = ["BUSY_W", "IDLE_W", "MINUTE", "SECOND", "Scene", "every"]
