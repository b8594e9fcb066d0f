"""What a statement is, told from its tokens."""

import pytest

from metering.embedded.clickhouse.errors import NodeError
from metering.embedded.clickhouse.statements import Way, parse

INSERTS = [
    ("INSERT INTO t VALUES", "t", None, "INSERT INTO t"),
    ("INSERT INTO t (a, b) VALUES", "t", ("a", "b"), "INSERT INTO t (a, b)"),
    ("insert into `d`.`t`(`a`) values ;", "`d`.`t`", ("a",), "insert into `d`.`t`(`a`)"),
    ("INSERT INTO TABLE d.t (n.x, n.y) FORMAT Native", "d.t", ("n.x", "n.y"), "INSERT INTO TABLE d.t (n.x, n.y)"),
    (
        "INSERT INTO t (values, format, select) VALUES",
        "t",
        ("values", "format", "select"),
        "INSERT INTO t (values, format, select)",
    ),
    ("INSERT INTO t (* EXCEPT(a)) VALUES", "t", None, "INSERT INTO t (* EXCEPT(a))"),
    ("INSERT INTO t (a) SETTINGS async_insert = 0 VALUES", "t", ("a",), "INSERT INTO t (a) SETTINGS async_insert = 0"),
    ("INSERT INTO table VALUES", "table", None, "INSERT INTO table"),
    ("INSERT INTO t (a)", "t", ("a",), "INSERT INTO t (a)"),
    ("/* c */ INSERT INTO t -- d\n VALUES", "t", None, "/* c */ INSERT INTO t"),
]


@pytest.mark.parametrize(("sql", "table", "columns", "head"), INSERTS)
def test_an_insert_that_ends_before_its_rows_awaits_blocks(
    sql: str, table: str, columns: tuple[str, ...] | None, head: str
) -> None:
    statement = parse(sql)
    assert statement.way is Way.TAKE_BLOCKS
    assert statement.insert is not None
    assert (statement.insert.table, statement.insert.columns, statement.insert.head) == (table, columns, head)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT 1",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t WITH 1 AS x SELECT x",
        "INSERT INTO t SELECT 1 FORMAT Native",
        'INSERT INTO t FORMAT JSONEachRow {"a": 1}',
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
        "SHOW TABLES",
    ],
)
def test_an_insert_that_carries_its_rows_is_run_whole(sql: str) -> None:
    assert parse(sql).way is Way.WHOLE


@pytest.mark.parametrize(
    ("sql", "run"),
    [
        ("SELECT 1 FORMAT JSON", "SELECT 1 "),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1"),
        ("SELECT format FROM t", "SELECT format FROM t"),
        ("SELECT * FROM (SELECT 1 AS format, 2 AS x)", "SELECT * FROM (SELECT 1 AS format, 2 AS x)"),
        ("(SELECT 1) UNION ALL (SELECT 2);", "(SELECT 1) UNION ALL (SELECT 2)"),
        ("WITH 1 AS x SELECT x", "WITH 1 AS x SELECT x"),
        ("FROM t SELECT a", "FROM t SELECT a"),
    ],
)
def test_a_select_is_streamed_without_its_format(sql: str, run: str) -> None:
    statement = parse(sql)
    assert statement.way is Way.STREAM
    assert statement.sql == run


NO_STATEMENT = [
    "",
    " ; ",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "INSERT INTO t (a VALUES",
    "SELECT 'x",
    "SELECT `x",
    "INSERT",
]


@pytest.mark.parametrize("sql", NO_STATEMENT)
def test_what_is_not_one_statement_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(NodeError) as refused:
        parse(sql)
    assert refused.value.code == 62
