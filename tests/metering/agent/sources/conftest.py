import pytest

from metering.agent.sources import Place


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def place() -> Place:
    return Place(node="node-7", region="eu-west", cluster="blue")
