"""The one gateway to ClickHouse: every statement passes here, named, limited in time and in rows.

Values reach a statement as `%(name)s` parameters, substituted by clickhouse-driver. Only text, whole numbers and lists of
them are taken: the driver would cut a datetime to seconds without a word, so times travel as milliseconds or microseconds
(`fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')`).
"""

import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import pyarrow as pa
from clickhouse_driver import Client, defines
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.connection import Connection
from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import ServerException
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8
from django.conf import settings

from metering.clickhouse.native import column_bytes

Parameters = Mapping[str, Any]

# ClickHouse's error codes that callers tell apart.
UNKNOWN_TABLE = 60
UNKNOWN_DATABASE = 81
TIMEOUT_EXCEEDED = 159
TOO_MANY_ROWS_OR_BYTES = 396


class Query(Protocol):
    """One frozen dataclass per query, in metering/clickhouse/queries/."""

    @property
    def name(self) -> str: ...

    def sql(self) -> tuple[str, Parameters]: ...


class ClickHouseUnavailable(RuntimeError):
    """No server is configured, or it does not answer. Nothing is known about what it did."""


class ClickHouseRefused(RuntimeError):
    """The server answered with an exception; `code` is ClickHouse's error code (62 syntax, 159 too slow, 158 too many rows)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"ClickHouse error {code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Result:
    """Rows as tuples in the order of `columns`."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def run(query: Query, *, timeout_s: float = 10, max_rows: int = 1_000_000) -> Result:
    """The whole result. Raises ClickHouseRefused (code 159) past `timeout_s` and (code 396) past `max_rows`."""
    sql, parameters = query.sql()
    _check(parameters)
    limits = _limits(query.name, timeout_s) | {"max_result_rows": max_rows, "result_overflow_mode": "throw"}
    with connection() as client:
        rows, columns = client.execute(sql, dict(parameters), with_column_types=True, settings=limits)
    return Result(tuple(name for name, _ in columns), rows)


def stream(query: Query, *, timeout_s: float = 60, block_rows: int = 65_536) -> Iterator[tuple[Any, ...]]:
    """Rows one by one, a block in memory at a time."""
    sql, parameters = query.sql()
    _check(parameters)
    limits = _limits(query.name, timeout_s) | {"max_block_size": block_rows}
    with connection() as client:
        yield from client.execute_iter(sql, dict(parameters), settings=limits)


def statement(
    name: str,
    sql: str,
    parameters: Parameters | None = None,
    *,
    timeout_s: float = 60,
    settings: Mapping[str, Any] | None = None,
) -> list[tuple[Any, ...]]:
    """DDL, `INSERT ... SELECT` and other statements that are not a named query. `settings` are ClickHouse's."""
    _check(parameters or {})
    with connection() as client:
        result = client.execute(
            sql, dict(parameters or {}) or None, settings=_limits(name, timeout_s) | dict(settings or {})
        )
    return result if isinstance(result, list) else []


def insert(
    name: str,
    table: str,
    columns: Sequence[str],
    data: Sequence[Sequence[Any]],
    *,
    timeout_s: float = 60,
    settings: Mapping[str, Any] | None = None,
) -> int:
    """Insert column-wise: `data[i]` holds all values of `columns[i]`. Returns the number of rows sent."""
    if not data or not data[0]:
        return 0
    sql = f"INSERT INTO {identifier(table)} ({', '.join(identifier(column) for column in columns)}) VALUES"
    with connection() as client:
        client.execute(
            sql, data, columnar=True, types_check=False, settings=_limits(name, timeout_s) | dict(settings or {})
        )
    return len(data[0])


def insert_columns(
    name: str,
    table: str,
    data: pa.Table,
    *,
    timeout_s: float = 60,
    settings: Mapping[str, Any] | None = None,
) -> int:
    """Insert an Arrow table as one block of native columns; its column names are the table's. Returns the number of rows sent."""
    columns = ", ".join(identifier(column) for column in data.column_names)
    sql = f"INSERT INTO {identifier(table)} ({columns}) VALUES"
    limits = _limits(name, timeout_s) | dict(settings or {})
    with connection() as client, client.disconnect_on_error(sql, limits):
        client.connection.send_query(sql)
        client.connection.send_external_tables(None)
        expected = client.receive_sample_block().columns_with_types
        _send_block(client.connection, data.num_rows, [(c, kind, column_bytes(kind, data[c])) for c, kind in expected])
        client.connection.send_data(ColumnOrientedBlock())  # an empty block ends the insert
        client.receive_end_of_insert_query()
    return int(data.num_rows)


def _send_block(link: Connection, rows: int, columns: Sequence[tuple[str, str, bytes]]) -> None:
    """As the driver's Connection.send_data and BlockOutputStream.write, for columns that are encoded already."""
    revision = link.server_info.used_revision
    write_varint(ClientPacketTypes.DATA, link.fout)
    if revision >= defines.DBMS_MIN_REVISION_WITH_TEMPORARY_TABLES:
        write_binary_str("", link.fout)
    out = link.block_out.fout
    if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
        BlockInfo().write(out)
    write_varint(len(columns), out)
    write_varint(rows, out)
    for column, kind, encoded in columns:
        write_binary_str(column, out)
        write_binary_str(kind, out)
        if revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
            write_binary_uint8(0, out)
        out.write(encoded)
    link.block_out.finalize()


def identifier(name: str) -> str:
    """A name that our code chose, quoted. Raises ValueError for anything that is not a plain identifier."""
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"not an identifier: {name!r}")
    return f"`{name}`"


def _limits(name: str, timeout_s: float) -> dict[str, Any]:
    return {"log_comment": name, "max_execution_time": timeout_s, "timeout_overflow_mode": "throw"}


def _check(parameters: Parameters) -> None:
    for name, value in parameters.items():
        items = value if isinstance(value, list | tuple) else (value,)
        if not all(isinstance(item, str | int) for item in items):
            raise TypeError(
                f"parameter {name!r} holds {type(value).__name__}: only text, whole numbers and lists of them"
            )


class _Pool:
    """Idle connections of this process. A connection serves one statement at a time and is dropped after an error."""

    def __init__(self, url: str, idle: int = 8) -> None:
        self.url = url
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue(maxsize=idle)

    def take(self) -> Client:
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        return Client.from_url(self.url)

    def give_back(self, client: Client) -> None:
        try:
            self._idle.put_nowait(client)
        except queue.Full:
            client.disconnect()

    def disconnect_idle(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().disconnect()


_lock = threading.Lock()


@cache
def _pool_of(url: str, pid: int) -> _Pool:
    return _Pool(url)


def _pool() -> _Pool:
    url = str(settings.CLICKHOUSE_URL)
    if not url:
        raise ClickHouseUnavailable("no ClickHouse: start the stack with `manage.py up`, or set CLICKHOUSE_URL")
    with _lock:
        return _pool_of(url, os.getpid())  # by process: a forked worker must not share its parent's sockets


def disconnect_idle() -> None:
    """Close the idle connections of this process, if it has a server at all."""
    if settings.CLICKHOUSE_URL:
        _pool().disconnect_idle()


@contextmanager
def connection() -> Iterator[Client]:
    """A driver connection, for this package and its tests only. Driver errors become the two exceptions above."""
    pool = _pool()
    client = pool.take()
    reusable = False
    try:
        yield client
        reusable = True
    except ServerException as error:
        reusable = True
        raise ClickHouseRefused(error.code, _first_line(str(error.message))) from error
    except (DriverError, OSError, EOFError) as error:
        raise ClickHouseUnavailable(f"ClickHouse does not answer: {error}") from error
    finally:
        if reusable:
            pool.give_back(client)
        else:
            client.disconnect()


def _first_line(message: str) -> str:
    """ClickHouse appends a C++ stack trace to its message; only the message is of use to a reader."""
    return message.split("Stack trace:", 1)[0].strip()
