"""The node's end, orderly or not: SIGTERM is quick whatever runs, and `kill -9` loses nothing that was acknowledged."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from tests.metering.embedded.clickhouse.node_process import NodeProcess

Start = Callable[..., NodeProcess]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_node_stops_at_once(own_node: Start, signal_number: int) -> None:
    node = own_node()
    idle = node.client()
    assert idle.execute("SELECT 1") == [(1,)]
    code, seconds = node.end(signal_number)
    assert code == 0
    assert seconds < 3
    idle.disconnect()


def test_a_busy_node_ends_its_queries_and_stops_in_time(own_node: Start) -> None:
    node = own_node()
    setup = node.client()
    setup.execute("CREATE DATABASE d")
    setup.execute("CREATE TABLE d.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    outcomes: list[BaseException] = []

    def busy(sql: str) -> None:
        client = node.client()
        try:
            client.execute(sql)
        except (Error, EOFError, OSError) as error:
            outcomes.append(error)
        finally:
            client.disconnect()

    statements = [
        "SELECT count() FROM numbers(1000000000000)",
        "SELECT sleepEachRow(1) FROM numbers(100) SETTINGS max_block_size = 1",
        "INSERT INTO d.t SELECT number FROM numbers(10000000000)",
        "SELECT uniqExact(number) FROM numbers(100000000000)",
    ]
    threads = [threading.Thread(target=busy, args=(sql,)) for sql in statements]
    for thread in threads:
        thread.start()
    waiting = node.client()  # an INSERT whose rows never come
    waiting.connection.connect()
    waiting.connection.send_query("INSERT INTO d.t VALUES")
    waiting.connection.send_external_tables(None)
    waiting.receive_sample_block()
    time.sleep(0.7)
    code, seconds = node.end()
    assert code == 0
    assert seconds < 5
    for thread in threads:
        thread.join(timeout=5)
    assert len(outcomes) == len(statements)
    assert {error.code for error in outcomes if isinstance(error, ServerException)} <= {236}
    for client in (setup, waiting):
        client.disconnect()


def test_a_stopping_node_takes_no_new_client(own_node: Start) -> None:
    node = own_node()
    node.end()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", node.port), 1)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_is_there_after_a_restart(own_node: Start, signal_number: int) -> None:
    """Killed while two clients insert: every acknowledged batch is there whole, an unacknowledged one whole or not at all."""
    node = own_node()
    setup = node.client()
    setup.execute("CREATE DATABASE d")
    setup.execute("CREATE TABLE d.t (writer UInt8, batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY (writer, batch)")
    setup.disconnect()
    acknowledged: set[tuple[int, int]] = set()
    attempted: set[tuple[int, int]] = set()

    def write(writer: int) -> None:
        client = node.client()
        with suppress(Error, EOFError, OSError):
            for batch in range(100_000):
                attempted.add((writer, batch))
                client.execute("INSERT INTO d.t VALUES", [(writer, batch, n) for n in range(100)])
                acknowledged.add((writer, batch))
        client.disconnect()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    node.end(signal_number)
    for thread in threads:
        thread.join(timeout=10)
    assert len(acknowledged) > 20
    node.start()
    found = rows_by_batch(node.client())
    assert set(found.values()) == {100}
    assert acknowledged <= set(found) <= attempted


def rows_by_batch(client: Client) -> dict[tuple[int, int], int]:
    rows = client.execute("SELECT writer, batch, uniqExact(n) FROM d.t GROUP BY writer, batch")
    assert client.execute("SELECT count() FROM d.t") == [(100 * len(rows),)]
    client.disconnect()
    return {(writer, batch): count for writer, batch, count in rows}


def test_a_token_is_remembered_over_a_kill(own_node: Start) -> None:
    node = own_node()
    for attempt in range(2):
        client = node.client()
        client.execute("CREATE DATABASE IF NOT EXISTS d")
        client.execute(
            "CREATE TABLE IF NOT EXISTS d.t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
        )
        client.execute("INSERT INTO d.t VALUES", [(1,)], settings={"insert_deduplication_token": "group"})
        assert client.execute("SELECT count() FROM d.t") == [(1,)]
        client.disconnect()
        if not attempt:
            node.end(signal.SIGKILL)
            node.start()
