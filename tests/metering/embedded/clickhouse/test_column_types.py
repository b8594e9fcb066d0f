"""Every column type of the schema goes in and comes out unchanged, compressed or not."""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

UTC = dt.UTC
MOMENT = dt.datetime(2026, 2, 28, 23, 59, 59, 123000, tzinfo=UTC)
VALUES: list[tuple[str, list[Any]]] = [
    ("UInt8", [0, 255]),
    ("UInt64", [0, 2**64 - 1]),
    ("Int64", [-(2**63), 2**63 - 1]),
    ("UInt128", [0, 2**128 - 1]),
    ("Int256", [-(2**255), 5]),
    ("Float32", [0.5, -2.25]),
    ("Float64", [1e300, -0.0]),
    ("Bool", [True, False]),
    ("String", ["", "é" * 100, "x" * 20_000, "with \x00 inside"]),
    ("FixedString(3)", ["abc", "xyz"]),
    ("LowCardinality(String)", ["a", "b", "a", ""]),
    ("LowCardinality(Nullable(String))", ["a", None, "a"]),
    ("Nullable(Float32)", [None, 1.5]),
    ("Nullable(String)", [None, "", "x"]),
    ("UUID", [uuid.UUID(int=0), uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")]),
    ("Date", [dt.date(1970, 1, 1), dt.date(2026, 12, 31)]),
    ("Date32", [dt.date(1925, 1, 1), dt.date(2026, 12, 31)]),
    ("DateTime('UTC')", [MOMENT.replace(microsecond=0)]),
    ("DateTime64(3, 'UTC')", [MOMENT, dt.datetime(1970, 1, 1, tzinfo=UTC)]),
    ("DateTime64(6, 'UTC')", [MOMENT.replace(microsecond=123456)]),
    ("Decimal(9, 4)", [Decimal("-12345.6789"), Decimal(0)]),
    ("Decimal(18, 6)", [Decimal("123456789012.345678")]),
    ("Decimal(38, 12)", [Decimal("12345678901234567890123456.123456789012")]),
    ("Decimal(76, 20)", [Decimal("-1.00000000000000000001")]),
    ("Enum8('ok' = 1, 'error, (bad)' = 2)", ["ok", "error, (bad)"]),
    ("Enum16('a' = -300, 'b' = 300)", ["a", "b"]),
    ("IPv4", [ipaddress.IPv4Address("127.0.0.1")]),
    ("IPv6", [ipaddress.IPv6Address("::1")]),
    ("Array(UInt32)", [[], [1, 2, 3]]),
    ("Array(Array(String))", [[], [[], ["x", "y"]]]),
    ("Array(LowCardinality(String))", [["gpu0", "gpu1"], [], ["gpu0"]]),
    ("Array(Nullable(UInt8))", [[None, 1], []]),
    ("Map(String, UInt64)", [{}, {"a": 1, "b": 2}]),
    ("Map(LowCardinality(String), String)", [{"k": "v"}, {}, {"k": "w", "l": ""}]),
    ("Tuple(UInt8, String)", [(1, "x"), (2, "")]),
    ("Tuple(tokens UInt64, price Decimal(18, 6))", [(5, Decimal("0.000001"))]),
    ("SimpleAggregateFunction(sum, UInt64)", [1, 2**63]),
]


def by_position(result: list[tuple[Any, ...]]) -> list[Any]:
    return [row[0] for row in result]


@pytest.fixture(params=[False, "lz4"], ids=["plain", "lz4"])
def typed_client(request: pytest.FixtureRequest, connect: Callable[..., Client]) -> Client:
    return connect(compression=request.param)


@pytest.mark.parametrize(("type_name", "values"), VALUES, ids=[name for name, _ in VALUES])
def test_a_value_of_every_type_comes_back_as_it_went_in(
    typed_client: Client, type_name: str, values: list[Any]
) -> None:
    typed_client.execute("DROP TABLE IF EXISTS typed")
    typed_client.execute(
        f"CREATE TABLE typed (position UInt32, value {type_name}, after String) ENGINE = MergeTree ORDER BY position"
    )
    rows = [(position, value, "next") for position, value in enumerate(values)]
    assert typed_client.execute("INSERT INTO typed VALUES", rows) == len(rows)
    found = typed_client.execute("SELECT value, after FROM typed ORDER BY position")
    assert found == [(list(value) if type_name.startswith("Array") else value, "next") for value in values]


def test_columns_may_come_in_any_order(client: Client) -> None:
    client.execute("DROP TABLE IF EXISTS ordered")
    client.execute("CREATE TABLE ordered (a UInt8, b String, c Array(String), d UInt8 DEFAULT 9) ENGINE = Memory")
    client.execute("INSERT INTO ordered (c, `a`, b) VALUES", [(["x"], 1, "one")])
    client.execute("INSERT INTO ordered (* EXCEPT(d)) VALUES", [(2, "two", [])])
    assert client.execute("SELECT * FROM ordered ORDER BY a") == [(1, "one", ["x"], 9), (2, "two", [], 9)]


def test_states_are_made_by_the_engine_and_merged_into_values(client: Client) -> None:
    for table in ("states", "raw"):
        client.execute(f"DROP TABLE IF EXISTS {table}")
    client.execute("CREATE TABLE raw (k String, ms Float32) ENGINE = MergeTree ORDER BY k")
    client.execute(
        "CREATE TABLE states (k String, n SimpleAggregateFunction(sum, UInt64),"
        " ms AggregateFunction(quantilesDD(0.01, 0.5, 0.99), Float32)) ENGINE = AggregatingMergeTree ORDER BY k"
    )
    client.execute("DROP VIEW IF EXISTS raw_to_states")
    client.execute(
        "CREATE MATERIALIZED VIEW raw_to_states TO states AS"
        " SELECT k, count() AS n, quantilesDDState(0.01, 0.5, 0.99)(ms) AS ms FROM raw GROUP BY k"
    )
    client.execute("INSERT INTO raw VALUES", [("a", float(n)) for n in range(1, 101)])
    client.execute("INSERT INTO raw VALUES", [("a", float(n)) for n in range(101, 201)])
    merge = "SELECT sum(n), quantilesDDMerge(0.01, 0.5, 0.99)(ms) FROM states"
    ((count, (median, p99)),) = client.execute(merge)
    assert count == 200
    assert median == pytest.approx(100, rel=0.02)
    assert p99 == pytest.approx(198, rel=0.02)


@pytest.mark.parametrize("type_name", ["AggregateFunction(sum, UInt64)", "JSON", "Variant(String, UInt8)"])
def test_a_type_that_cannot_be_followed_is_refused_before_any_row_is_sent(client: Client, type_name: str) -> None:
    client.execute("DROP TABLE IF EXISTS unfollowed")
    client.execute(f"CREATE TABLE unfollowed (a UInt8, v {type_name}) ENGINE = Memory")
    with pytest.raises(ServerException) as refused:
        client.execute("INSERT INTO unfollowed VALUES", [(1, b"")])
    assert refused.value.code == 48
    assert client.execute("SELECT 1") == [(1,)]
