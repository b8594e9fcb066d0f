"""Time that passes only when somebody waits, and sources that read whatever the test says."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from metering.agent.samples import EngineSample, GpuSample, Sample

NODE = "node-1"


class FakeClock:
    """`until_s`: then every wait says that it was stopped."""

    def __init__(self, now_ms: int = 1_790_000_000_000, until_s: float = float("inf")) -> None:
        self._began_ms = now_ms
        self._until_s = until_s
        self.passed_s = 0.0

    def now_ms(self) -> int:
        return self._began_ms + round(self.passed_s * 1000)

    def monotonic(self) -> float:
        return self.passed_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.passed_s += max(0.0, seconds)
        return stop.is_set() or self.passed_s >= self._until_s

    def takes(self, seconds: float) -> None:
        self.passed_s += seconds


@dataclass
class FakeGpus:
    """`count` GPUs; each reading takes `slow_s` of the clock."""

    clock: FakeClock | None = None
    count: int = 2
    slow_s: float = 0.0
    label: str = "fake gpus"
    found: list[str] = field(default_factory=list)
    read_at_ms: list[int] = field(default_factory=list)

    def read(self, at_ms: int) -> Sequence[Sample]:
        self.read_at_ms.append(at_ms)
        if self.clock is not None:
            self.clock.takes(self.slow_s)
        return [
            GpuSample(time=at_ms, node=NODE, gpu=f"GPU-{index}", source="nvml", index=index, power_w=100.0 + index)
            for index in range(self.count)
        ]

    def problems(self) -> Sequence[str]:
        return self.found

    def close(self) -> None:
        """Nothing is held."""


def engine_sample(at_ms: int, name: str = "llama") -> EngineSample:
    return EngineSample(time=at_ms, node=NODE, engine=name, engine_kind="vllm", running=3)
