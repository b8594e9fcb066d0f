"""What the agent asks of a source of samples, whatever stands behind it: a driver, an exporter, an engine, a simulation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metering.agent.samples import Sample


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent runs: stands on every sample it takes."""

    node: str
    region: str = ""
    cluster: str = ""


class Source(Protocol):
    """One thing that can be read again and again."""

    @property
    def label(self) -> str:
        """What a person calls it, such as `nvml` or `vllm http://127.0.0.1:8000/metrics`."""

    def read(self, at_ms: int) -> Sequence[Sample]:
        """Its samples now; `at_ms` is the time to stamp them with. Never raises: what cannot be read is absent, and a problem."""

    def problems(self) -> Sequence[str]:
        """What kept the latest read from being complete, in words, each once; empty if nothing did."""

    def close(self) -> None: ...
