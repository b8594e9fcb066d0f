from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metering.agent.config import Config, OutboxConfig, ReceiverConfig
from metering.agent.sources import Place
from metering.agent.telemetry import Telemetry, options_of
from tests.metering.agent.running.fakes import NODE
from tests.metering.agent.running.upstream import KEY, Upstream
from tests.metering.agent.running.waiting import quick

MakeTelemetry = Callable[..., Telemetry]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()
    assert running.faults == []


@pytest.fixture
def config(upstream: Upstream, tmp_path: Path) -> Config:
    return Config(
        place=Place(NODE, "eu-west", "prod"),
        url=upstream.url,
        key=KEY,
        data=tmp_path / "agent",
        outbox=OutboxConfig(catch_up_per_s=1000),
        receiver=ReceiverConfig(host="127.0.0.1", port=0, catch_up_mib_per_s=1000),
    )


@pytest.fixture
def telemetry(config: Config) -> Iterator[MakeTelemetry]:
    """Makes outboxes of samples that lose no time waiting, and closes them after the test."""
    made: list[Telemetry] = []

    def make(**options: Any) -> Telemetry:
        made.append(Telemetry(quick(options_of(config), **options)))
        return made[-1]

    yield make
    for each in made:
        each.close(0)
