from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tallywatt
from tests.tallywatt.server import KEY, StrictServer

FAST = {"batch_age_s": 0.02, "retry_first_s": 0.02, "retry_longest_s": 0.05, "refused_wait_s": 0.2}

MakeClient = Callable[..., tallywatt.Client]


@pytest.fixture
def server() -> Iterator[StrictServer]:
    running = StrictServer()
    yield running
    running.close()
    assert running.faults == []


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def client(server: StrictServer, outbox: Path) -> Iterator[MakeClient]:
    """Makes clients that lose no time waiting, and closes them after the test."""
    made: list[tallywatt.Client] = []

    def make(**options: Any) -> tallywatt.Client:
        given = FAST | {"outbox": outbox} | options
        made.append(tallywatt.Client(given.pop("url", server.url), given.pop("key", KEY), **given))
        return made[-1]

    yield make
    for each in made:
        each.close(timeout_s=0)
