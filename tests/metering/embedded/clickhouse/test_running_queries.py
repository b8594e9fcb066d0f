"""Queries side by side, cancelled, killed and timed out; settings and sessions that stay apart."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from clickhouse_driver.result import QueryInfo

from tests.metering.embedded.clickhouse.node_process import PASSWORD, USER, NodeProcess

Connect = Callable[..., Client]
FOREVER = "SELECT count() FROM numbers(1000000000000)"


def running(client: Client) -> int:
    """Queries under way, this one not counted."""
    return int(client.execute("SELECT count() - 1 FROM system.processes")[0][0])


def wait_until_running(client: Client, count: int) -> None:
    deadline = time.monotonic() + 20
    while running(client) != count:
        assert time.monotonic() < deadline, f"still {running(client)} queries, not {count}"
        time.sleep(0.02)


def begin_insert(client: Client, sql: str) -> Any:
    """An INSERT up to the sample block; the driver's own way would send the rows and hang up after an error."""
    client.connection.force_connect()
    client.connection.is_query_executing = False
    client.last_query = QueryInfo()
    client.connection.send_query(sql)
    client.connection.send_external_tables(None)
    return client.receive_sample_block()


def error_of(client: Client, sql: str, **options: object) -> ServerException:
    with pytest.raises(ServerException) as refused:
        client.execute(sql, **options)
    return refused.value


def test_eight_clients_are_served_side_by_side(connect: Connect) -> None:
    clients = [connect() for _ in range(8)]
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda client: client.execute("SELECT sleep(2)"), clients))
    assert found == [[(0,)]] * 8
    assert time.monotonic() - started < 12  # one after the other they would take 16


def test_many_clients_insert_and_read_at_once_without_loss(connect: Connect) -> None:
    connect().execute("DROP TABLE IF EXISTS crowd")
    connect().execute("CREATE TABLE crowd (who UInt8, n UInt32) ENGINE = MergeTree ORDER BY (who, n)")

    def work(who: int) -> int:
        client = connect(compression=bool(who % 2))
        for batch in range(5):
            client.execute("INSERT INTO crowd VALUES", [(who, batch * 100 + n) for n in range(100)])
        return int(client.execute("SELECT uniqExact(n) FROM crowd WHERE who = %(who)s", {"who": who})[0][0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [500] * 8
    assert connect().execute("SELECT count() FROM crowd") == [(4000,)]


def test_a_long_query_does_not_hold_up_a_short_one(connect: Connect) -> None:
    slow, quick = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(error_of, slow, FOREVER, query_id="slow-one")
        wait_until_running(quick, 1)
        started = time.monotonic()
        assert quick.execute("SELECT 1") == [(1,)]
        assert time.monotonic() - started < 10
        quick.execute("KILL QUERY WHERE query_id = 'slow-one' SYNC")
        assert outcome.result(timeout=20).code == 394
    wait_until_running(quick, 0)


def test_a_query_id_runs_once_at_a_time(connect: Connect) -> None:
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(error_of, slow, FOREVER, query_id="same")
        wait_until_running(other, 1)
        assert error_of(other, "SELECT 1", query_id="same").code == 216
        other.execute("KILL QUERY WHERE query_id = 'same'")
        assert outcome.result(timeout=20).code == 394
    assert other.execute("SELECT 1", query_id="same") == [(1,)]


def test_the_name_of_a_query_is_seen_while_it_runs(connect: Connect) -> None:
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(error_of, slow, FOREVER, query_id="named", settings={"log_comment": "usage_by_model"})
        wait_until_running(other, 1)
        names = other.execute("SELECT Settings['log_comment'] FROM system.processes WHERE query LIKE '%1000000000000%'")
        assert ("usage_by_model",) in names
        other.execute("KILL QUERY WHERE query_id IN ('named', 'other')")
        outcome.result(timeout=20)


def test_cancel_ends_a_query_and_the_connection_stays(connect: Connect) -> None:
    client = connect()
    client.connection.connect()
    client.connection.send_query(FOREVER)
    client.connection.send_external_tables(None)
    time.sleep(0.3)
    started = time.monotonic()
    client.connection.send_cancel()
    client.receive_end_of_query()
    assert time.monotonic() - started < 20
    assert client.execute("SELECT 1") == [(1,)]


def test_cancel_ends_a_result_half_way(connect: Connect) -> None:
    client = connect()
    rows = client.execute_iter("SELECT number FROM numbers(1000000000)", settings={"max_block_size": 1000})
    assert next(rows) == (0,)
    client.cancel()
    assert client.execute("SELECT 1") == [(1,)]
    wait_until_running(connect(), 0)


def test_a_query_ends_when_its_client_leaves(connect: Connect) -> None:
    leaving, staying = connect(), connect()
    for sql in (FOREVER, "SELECT number FROM numbers(100000000000)"):
        leaving.connection.connect()
        leaving.connection.send_query(sql)
        leaving.connection.send_external_tables(None)
        wait_until_running(staying, 1)
        leaving.disconnect()
        wait_until_running(staying, 0)


def test_a_query_past_its_own_time_limit_ends_with_code_159(client: Client) -> None:
    started = time.monotonic()
    assert error_of(client, FOREVER, settings={"max_execution_time": 1}).code == 159
    assert time.monotonic() - started < 20
    assert client.execute("SELECT 1") == [(1,)]


def test_a_query_past_the_limit_of_the_node_ends_with_code_159(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node("--max-query-seconds", "1")
    client = node.client()
    for sql in (FOREVER, "SELECT sleepEachRow(0.5) FROM numbers(100) SETTINGS max_block_size = 1"):
        started = time.monotonic()
        assert error_of(client, sql, settings={"max_execution_time": 60}).code == 159
        assert time.monotonic() - started < 20
    assert client.execute("SELECT 1") == [(1,)]
    client.disconnect()


def test_more_queries_than_allowed_at_once_are_told_so(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node("--max-queries", "1")
    slow, other = node.client(), node.client()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(error_of, slow, FOREVER, settings={"max_execution_time": 2})
        time.sleep(0.5)
        assert error_of(other, "SELECT 1").code == 202
        assert outcome.result(timeout=10).code == 159
    assert other.execute("SELECT 1") == [(1,)]
    for client in (slow, other):
        client.disconnect()


def test_nothing_of_a_session_reaches_the_next_client(connect: Connect) -> None:
    first = connect()
    first.execute("USE system")
    first.execute("SET max_threads = 7")
    first.execute("CREATE TEMPORARY TABLE mine (a UInt8)")
    first.disconnect()
    other = connect(database="default")
    assert other.execute("SELECT currentDatabase(), getSetting('max_threads') = 7") == [("default", 0)]
    assert error_of(other, "SELECT * FROM mine").code == 60


def test_settings_of_one_query_do_not_reach_the_next(client: Client) -> None:
    threads = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    default = client.execute(threads)
    assert client.execute(threads, settings={"max_threads": 7, "max_block_size": 1000}) == [(7, 1000)]
    assert client.execute(threads, settings={"max_threads": 9}) == [(9, default[0][1])]
    assert client.execute(threads) == default
    assert error_of(client, "CREATE TABLE readonly (a UInt8) ENGINE = Memory", settings={"readonly": 1}).code == 164


def test_readonly_lasts_for_one_query_and_the_session_goes_on_as_it_was(connect: Connect) -> None:
    client = connect()
    client.connection.connect()
    client.execute("SET max_threads = 6")
    assert client.execute("SELECT 1", settings={"readonly": 1}) == [(1,)]
    client.execute("DROP TABLE IF EXISTS writable")
    client.execute("CREATE TABLE writable (a UInt8) ENGINE = Memory")
    assert client.execute("SELECT currentDatabase(), getSetting('max_threads')") == [("tests", 6)]


def test_a_set_comes_back_after_a_query_with_its_own_value(client: Client) -> None:
    client.execute("SET max_threads = 6")
    assert client.execute("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == [(3,)]
    assert client.execute("SELECT getSetting('max_threads')") == [(6,)]


def test_an_unknown_setting_is_ignored_unless_it_is_important(connect: Connect) -> None:
    assert connect().execute("SELECT 1", settings={"nonsuch": 1}) == [(1,)]
    assert error_of(connect(settings_is_important=True), "SELECT 1", settings={"nonsuch": 1}).code == 115


def test_an_error_in_the_middle_of_an_insert_leaves_the_connection_usable(connect: Connect) -> None:
    client = connect()
    client.execute("DROP TABLE IF EXISTS checked")
    client.execute("CREATE TABLE checked (a UInt32, CONSTRAINT small CHECK a < 1000) ENGINE = MergeTree ORDER BY a")
    sample = begin_insert(client, "INSERT INTO checked VALUES")
    client.send_data(sample, [(n,) for n in (1, 5000, 2)])
    with pytest.raises(ServerException) as refused:
        client.receive_end_of_insert_query()
    assert refused.value.code == 469
    client.connection.send_query("SELECT count() FROM checked")
    client.connection.send_external_tables(None)
    assert client.receive_result() == [(0,)]


@pytest.mark.parametrize(
    ("table", "rows", "code"),
    [
        ("a UInt32, CONSTRAINT small CHECK a < 1000) ENGINE = MergeTree ORDER BY a", [(1,), (5000,)], 469),
        ("a UInt32) ENGINE = MergeTree PARTITION BY a ORDER BY a", [(n,) for n in range(120)], 252),
        ("a UInt32) ENGINE = MergeTree ORDER BY throwIf(a = 77)", [(77,)], 395),
    ],
)
def test_an_insert_that_fails_while_writing_is_never_acknowledged(
    client: Client, table: str, rows: list[Any], code: int
) -> None:
    client.execute("DROP TABLE IF EXISTS failing")
    client.execute(f"CREATE TABLE failing ({table}")
    values = ", ".join(f"({n})" for (n,) in rows)
    for way in (("INSERT INTO failing VALUES", rows), (f"INSERT INTO failing VALUES {values}",)):
        with pytest.raises(ServerException) as refused:
            client.execute(*way)
        assert refused.value.code == code
    assert client.execute("SELECT count() FROM failing") == [(0,)]


def test_an_insert_whose_materialised_view_fails_is_never_acknowledged(client: Client) -> None:
    client.execute("DROP VIEW IF EXISTS view_of_failing")
    for name in ("viewed", "seen"):
        client.execute(f"DROP TABLE IF EXISTS {name}")
        client.execute(f"CREATE TABLE {name} (a UInt32) ENGINE = MergeTree ORDER BY a")
    client.execute("CREATE MATERIALIZED VIEW view_of_failing TO seen AS SELECT a + throwIf(a = 7) AS a FROM viewed")
    assert error_of_rows(client, "INSERT INTO viewed VALUES", [(6,), (7,)]).code == 395
    assert client.execute("SELECT count() FROM seen") == [(0,)]


def error_of_rows(client: Client, sql: str, rows: list[Any]) -> ServerException:
    with pytest.raises(ServerException) as refused:
        client.execute(sql, rows)
    return refused.value


def test_a_block_of_other_columns_is_refused(client: Client) -> None:
    client.execute("DROP TABLE IF EXISTS other_columns")
    client.execute("CREATE TABLE other_columns (a UInt32, b UInt32) ENGINE = Memory")
    sample = begin_insert(client, "INSERT INTO other_columns VALUES")
    sample.columns_with_types = [("a", "UInt32"), ("c", "UInt32")]
    client.send_data(sample, [(1, 2)])
    with pytest.raises(ServerException) as refused:
        client.receive_end_of_insert_query()
    assert refused.value.code == 10


def test_a_large_result_is_streamed_and_not_held(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node()
    client = node.client()
    rows = "SELECT repeat('x', 1000) FROM numbers({})"
    peaks = []
    for count in (100_000, 1_000_000):
        assert sum(1 for _ in client.execute_iter(rows.format(count), settings={"max_block_size": 8192})) == count
        peaks.append(node.memory_mb())
    assert peaks[1] - peaks[0] < 150  # of a result 900 MB larger
    client.disconnect()


def test_a_client_that_reads_slowly_holds_the_query_back(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node()
    client = node.client()
    rows = client.execute_iter("SELECT repeat('x', 1000) FROM numbers(3000000)")
    next(rows)
    time.sleep(2)
    assert node.memory_mb() < 1000
    client.disconnect()


def test_a_slow_client_between_blocks_does_not_stop_others_from_inserting(connect: Connect) -> None:
    connect().execute("DROP TABLE IF EXISTS paused")
    connect().execute("CREATE TABLE paused (a UInt8) ENGINE = MergeTree ORDER BY a")
    slow = connect()
    slow.connection.connect()
    sample = begin_insert(slow, "INSERT INTO paused VALUES")
    other = threading.Thread(target=lambda: connect().execute("INSERT INTO paused VALUES", [(1,)]))
    other.start()
    other.join(timeout=5)
    assert not other.is_alive()
    slow.send_data(sample, [(2,)])
    slow.receive_end_of_insert_query()
    assert connect().execute("SELECT count() FROM paused") == [(2,)]


def test_an_insert_that_its_client_abandons_is_not_committed(connect: Connect) -> None:
    connect().execute("DROP TABLE IF EXISTS abandoned")
    connect().execute("CREATE TABLE abandoned (a UInt8) ENGINE = MergeTree ORDER BY a")
    leaving = connect()
    leaving.connection.connect()
    begin_insert(leaving, "INSERT INTO abandoned VALUES")
    leaving.disconnect()
    wait_until_running(connect(), 0)
    assert connect().execute("SELECT count() FROM abandoned") == [(0,)]


def test_dbapi_runs_on_it(node: NodeProcess) -> None:
    from clickhouse_driver import dbapi
    from clickhouse_driver.dbapi.errors import OperationalError

    connection = dbapi.connect(host="127.0.0.1", port=node.port, user=USER, password=PASSWORD, database="tests")
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS by_dbapi")
    cursor.execute("CREATE TABLE by_dbapi (a UInt8, b String) ENGINE = Memory")
    cursor.executemany("INSERT INTO by_dbapi (a, b) VALUES", [(1, "x"), (2, "y")])
    assert cursor.rowcount == 2
    cursor.execute("SELECT a, b FROM by_dbapi WHERE a > %(least)s ORDER BY a", {"least": 1})
    assert [column[:2] for column in cursor.description] == [("a", "UInt8"), ("b", "String")]
    assert cursor.fetchone() == (2, "y")
    assert cursor.fetchone() is None
    cursor.set_stream_results(True, 1000)
    cursor.execute("SELECT number FROM numbers(5000)")
    assert sum(row[0] for row in cursor) == 12_497_500
    with pytest.raises(OperationalError):
        connection.cursor().execute("SELECT * FROM nonsuch")
    connection.close()
