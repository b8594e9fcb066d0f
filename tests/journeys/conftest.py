from collections.abc import Iterator

import pytest

from tests.journeys.stack import RunningStack


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all journeys; tests keep apart by tenants of their own."""
    stack = RunningStack(tmp_path_factory.mktemp("up") / "var")
    try:
        yield stack
    finally:
        stack.stop()
