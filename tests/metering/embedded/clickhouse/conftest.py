from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from tests.metering.embedded.clickhouse.node_process import NodeProcess


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests that leave it as it was."""
    with NodeProcess(tmp_path_factory.mktemp("node")) as running:
        client = running.client()
        client.execute("CREATE DATABASE IF NOT EXISTS tests")
        client.disconnect()
        yield running


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Nodes of a test's own, ended after it."""
    started: list[NodeProcess] = []

    def start(*arguments: str, folder: Path = tmp_path) -> NodeProcess:
        started.append(NodeProcess(folder, arguments))
        return started[-1]

    yield start
    for running in started:
        running.__exit__()


@pytest.fixture
def connect(node: NodeProcess) -> Iterator[Callable[..., Client]]:
    """Driver connections to the shared node, closed after the test; database `tests` unless named."""
    opened: list[Client] = []

    def open_one(**options: Any) -> Client:
        opened.append(node.client(**({"database": "tests"} | options)))
        return opened[-1]

    yield open_one
    for client in opened:
        client.disconnect()


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    return connect()
