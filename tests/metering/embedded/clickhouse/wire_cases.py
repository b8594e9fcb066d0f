"""What a client sees on the wire, as one list: run against the embedded node and against a real ClickHouse server.

A case's statements run in order in an empty database; the last one gives the result, or fails with the code. A statement
is SQL, or SQL with rows to insert. `since` is the first version of ClickHouse that gives the same answer.
"""

from dataclasses import dataclass, field
from typing import Any

Rows = list[tuple[Any, ...]]
OLDEST = (18, 16)
# Some errors were given another code since; what counts is that the node answers as today's ClickHouse does.
TODAY = (26, 9)


@dataclass(frozen=True)
class WireCase:
    name: str
    statements: list[str | tuple[str, Rows]]
    result: Rows | int | None = None  # int: rows inserted
    error: int | None = None
    columns: list[tuple[str, str]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    since: tuple[int, int] = OLDEST


TABLE = "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a"
ROWS: Rows = [(1, "x"), (2, "y")]

CASES = [
    WireCase("a constant", ["SELECT 1"], [(1,)], columns=[("1", "UInt8")]),
    WireCase("several columns", ["SELECT 1 AS a, 'x' AS b"], [(1, "x")], columns=[("a", "UInt8"), ("b", "String")]),
    WireCase("a result without rows has columns", ["SELECT 1 AS a WHERE 0"], [], columns=[("a", "UInt8")]),
    WireCase("an empty table", [TABLE, "SELECT * FROM t"], [], columns=[("a", "UInt64"), ("b", "String")]),
    WireCase("a trailing semicolon", ["SELECT 1;"], [(1,)]),
    WireCase("comments", ["/* one */ SELECT 1 -- two"], [(1,)]),
    WireCase("a quote in a string", ["SELECT 'it''s', 'a\\'b'"], [("it's", "a'b")]),
    WireCase("text outside ASCII", ["SELECT 'größer 日本'"], [("größer 日本",)]),
    WireCase("a FORMAT clause changes nothing", ["SELECT 1 FORMAT JSON"], [(1,)]),
    WireCase("several blocks", ["SELECT sum(number) FROM (SELECT number FROM numbers(200000))"], [(19999900000,)]),
    WireCase("a WITH clause", ["WITH 5 AS x SELECT x + 1"], [(6,)]),
    WireCase("a union", ["SELECT 1 AS a UNION ALL SELECT 1 AS a"], [(1,), (1,)]),
    WireCase("a subquery", ["SELECT * FROM (SELECT 7 AS a)"], [(7,)]),
    WireCase("null", ["SELECT NULL, toNullable(1)"], [(None, 1)]),
    WireCase("arrays", ["SELECT [1, 2], ['a']"], [([1, 2], ["a"])]),
    WireCase("a tuple", ["SELECT (1, 'a')"], [((1, "a"),)]),
    WireCase("rows in", [TABLE, ("INSERT INTO t VALUES", ROWS)], 2),
    WireCase("rows in and out", [TABLE, ("INSERT INTO t VALUES", ROWS), "SELECT * FROM t ORDER BY a"], ROWS),
    WireCase(
        "columns in another order",
        [TABLE, ("INSERT INTO t (b, a) VALUES", [("x", 1)]), "SELECT a, b FROM t"],
        [(1, "x")],
    ),
    WireCase("some columns", [TABLE, ("INSERT INTO t (a) VALUES", [(1,)]), "SELECT a, b FROM t"], [(1, "")]),
    WireCase(
        "a format name", [TABLE, ("INSERT INTO t FORMAT Native", ROWS), "SELECT count() FROM t"], [(2,)], since=(20, 3)
    ),
    WireCase("a qualified table", [TABLE, ("INSERT INTO `t` (`a`, b) VALUES", ROWS), "SELECT count() FROM t"], [(2,)]),
    WireCase("no rows", [TABLE, ("INSERT INTO t VALUES", [])], 0),
    WireCase(
        "insert from select",
        [TABLE, "INSERT INTO t SELECT number, 'n' FROM numbers(5)", "SELECT count() FROM t"],
        [(5,)],
    ),
    WireCase(
        "rows inside the statement",
        [TABLE, "INSERT INTO t VALUES (1, 'x'), (2, 'y')", "SELECT count() FROM t"],
        [(2,)],
        since=(20, 3),
    ),
    WireCase(
        "a default",
        [
            "CREATE TABLE d (a UInt8, b UInt8 DEFAULT a + 1) ENGINE = Memory",
            ("INSERT INTO d (a) VALUES", [(1,)]),
            "SELECT * FROM d",
        ],
        [(1, 2)],
    ),
    WireCase("DDL gives nothing", [TABLE], []),
    WireCase("tables are listed", [TABLE, "SHOW TABLES"], [("t",)], columns=[("name", "String")]),
    WireCase("no tables are listed", ["SHOW TABLES"], [], columns=[("name", "String")]),
    WireCase("a table exists", [TABLE, "EXISTS TABLE t"], [(1,)]),
    WireCase("dropped", [TABLE, "DROP TABLE t", "EXISTS TABLE t"], [(0,)]),
    WireCase("truncated", [TABLE, ("INSERT INTO t VALUES", ROWS), "TRUNCATE TABLE t", "SELECT count() FROM t"], [(0,)]),
    WireCase("a column added", [TABLE, "ALTER TABLE t ADD COLUMN c UInt8", "SELECT c FROM t"], []),
    WireCase(
        "a setting of the query",
        ["SELECT value FROM system.settings WHERE name = 'max_threads'"],
        [("3",)],
        settings={"max_threads": 3},
    ),
    WireCase(
        "SET lasts for the session",
        ["SET max_threads = 5", "SELECT value FROM system.settings WHERE name = 'max_threads'"],
        [("5",)],
    ),
    WireCase(
        "a temporary table lasts for the session",
        ["CREATE TEMPORARY TABLE s (a UInt8)", ("INSERT INTO s VALUES", [(1,)]), "SELECT * FROM s"],
        [(1,)],
    ),
    WireCase(
        "a view",
        [TABLE, "CREATE VIEW v AS SELECT a * 2 AS c FROM t", ("INSERT INTO t VALUES", ROWS), "SELECT sum(c) FROM v"],
        [(6,)],
    ),
    WireCase(
        "a materialised view",
        [
            TABLE,
            "CREATE TABLE s (n UInt64) ENGINE = SummingMergeTree ORDER BY tuple()",
            "CREATE MATERIALIZED VIEW v TO s AS SELECT count() AS n FROM t",
            ("INSERT INTO t VALUES", ROWS),
            "SELECT sum(n) FROM s",
        ],
        [(2,)],
    ),
    WireCase(
        "time zones stay with their columns",
        ["SELECT toDateTime('2026-01-01 00:00:00', 'Asia/Tokyo') AS t WHERE 0"],
        [],
        columns=[("t", "DateTime('Asia/Tokyo')")],
    ),
    WireCase(
        "time zones stay in rows",
        ["SELECT toTypeName(t), toUInt32(t) FROM (SELECT toDateTime(0, 'Asia/Tokyo') AS t)"],
        [("DateTime('Asia/Tokyo')", 0)],
    ),
    WireCase(
        "USE", ["CREATE TABLE here (a UInt8) ENGINE = Memory", "USE system", "SELECT currentDatabase()"], [("system",)]
    ),
    WireCase("syntax error", ["SELEC 1"], error=62),
    WireCase("syntax error in the middle", ["SELECT 1 FROM ("], error=62),
    WireCase("an empty statement", [""], error=62),
    WireCase("an unclosed string", ["SELECT 'x"], error=62),
    WireCase("unknown table", ["SELECT * FROM nonsuch"], error=60),
    WireCase("unknown table of an insert", [("INSERT INTO nonsuch VALUES", [(1,)])], error=60),
    WireCase("unknown column", ["SELECT nonsuch"], error=47),
    WireCase("unknown column of an insert", [TABLE, ("INSERT INTO t (nonsuch) VALUES", [(1,)])], error=16),
    WireCase("unknown function", ["SELECT nonsuch(1)"], error=46),
    WireCase("unknown database", ["USE nonsuch"], error=81),
    WireCase("unknown engine", ["CREATE TABLE t (a UInt8) ENGINE = Nonsuch"], error=56),
    WireCase("unknown type", ["CREATE TABLE t (a Nonsuch) ENGINE = Memory"], error=50),
    WireCase("unknown setting", ["SET nonsuch = 1"], error=115),
    WireCase("a table that exists", [TABLE, TABLE], error=57),
    WireCase("a table that does not exist", ["DROP TABLE nonsuch"], error=60),
    WireCase("wrong number of arguments", ["SELECT toUInt8()"], error=42),
    WireCase("wrong type of an argument", ["SELECT 1 + 'a'"], error=43),
    WireCase("not a number", ["SELECT toUInt8('x')"], error=6),
    WireCase(
        "an error in the middle of a result", ["SELECT throwIf(number = 500000) FROM numbers(1000000)"], error=395
    ),
    WireCase("too slow", ["SELECT count() FROM numbers(100000000000)"], error=159, settings={"max_execution_time": 1}),
    WireCase(
        "too many rows",
        ["SELECT number FROM numbers(1000000)"],
        error=396,
        settings={"max_result_rows": 10, "result_overflow_mode": "throw"},
    ),
    WireCase("read only", [TABLE], error=164, settings={"readonly": 1}),
    WireCase("several statements", ["SELECT 1; SELECT 2"], error=62),
]
