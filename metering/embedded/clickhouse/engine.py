"""The one place that touches chdb: the engine of a data directory, and sessions on it."""

import fcntl
import os
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from chdb._exceptions import ChdbError
from chdb.state.sqlitelike import Connection

from metering.embedded.clickhouse import blocks
from metering.embedded.clickhouse.errors import Code, NodeError, from_engine
from metering.embedded.clickhouse.sql_text import literal, name

# One mark per running query, visible in system.processes: the engine offers no way to choose a query's id.
MARK_SETTING = "query_cache_tag"
# Native text of types on one line, no bare expressions as statements, no look into this process's memory.
_SESSION = "print_pretty_type_names=0&implicit_select=0&allow_introspection_functions=0"


class EngineUnavailable(RuntimeError):
    """The data directory cannot be opened; the message says why and is meant for a person."""


class Engine:
    """Owns a data directory for as long as this process lives. The engine inside cannot be opened twice in one process."""

    def __init__(self, data_dir: Path, *, memory_bytes: int) -> None:
        if any(char in str(data_dir) for char in "?#%&"):
            raise EngineUnavailable(f"the data directory's path must hold none of ? # % &: {data_dir}")
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = _locked(data_dir / "node.lock")
        self.folder = data_dir
        self._path = data_dir / "db"
        self._options = f"{_SESSION}&max_memory_usage={memory_bytes * 3 // 4}"
        self._control_lock = threading.Lock()
        try:
            self._control = self._open(memory_bytes)
        except RuntimeError as error:
            raise EngineUnavailable(f"{data_dir}: {from_engine(error).text}") from error
        self.settings = frozenset(self.names("settings"))
        self.table_functions = self.names("table_functions")
        self.engines = [*self.names("table_engines"), *self.names("database_engines")]

    def _open(self, memory_bytes: int) -> Connection:
        """The engine's own `default` database shows every file of this machine as a table: another takes its place.

        A Dictionary database holds no tables and refuses to create any, so nothing in it needs to survive; its record is
        removed first because the engine insists on making its own `default` at every start.
        """
        (self._path / "metadata" / "default.sql").unlink(missing_ok=True)
        control = Connection(f"{self._path}?{self._options}&max_server_memory_usage={memory_bytes}")
        for sql in ("USE system", "DETACH DATABASE default", "CREATE DATABASE default ENGINE = Dictionary"):
            control.query(sql, "Native")
        return control

    def names(self, system_table: str) -> list[str]:
        result = self.ask(f"SELECT toString(name) AS name FROM system.{system_table}")  # noqa: S608 - our own words
        return blocks.parse_strings(result, 1)[0]

    def version(self) -> tuple[int, int, int]:
        major, minor, patch, *_ = blocks.parse_strings(self.ask("SELECT version()"), 1)[0][0].split(".")
        return int(major), int(minor), int(patch)

    def ask(self, sql: str) -> bytes:
        """A statement of the node itself, apart from every client's session. The result is one Native block."""
        with self._control_lock:
            try:
                return bytes(self._control.query(sql, "Native").bytes())
            except (ChdbError, RuntimeError) as error:
                raise from_engine(error) from error

    def kill(self, mark: str) -> None:
        self.ask(f"KILL QUERY WHERE Settings['{MARK_SETTING}'] = {literal(mark)} ASYNC")

    def session(self) -> "Session":
        return Session(lambda: Connection(f"{self._path}?{self._options}"))

    def close(self) -> None:
        with self._control_lock:
            self._control.close()


def _locked(path: Path) -> TextIO:
    """An open, locked file: the lock lasts as long as the process, however it ends."""
    opened = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EngineUnavailable(f"{path.parent} is in use by another process") from None
    return opened


def _explained(error: NodeError) -> NodeError:
    """The engine's words about a table in `default` would not tell anybody what to do."""
    if "require data path" in error.text or "DatabaseDictionary" in error.text:
        return NodeError(
            Code.NOT_IMPLEMENTED, "the database `default` of the embedded ClickHouse holds no tables: create another"
        )
    return error


class Session:
    """One client's state in the engine: its database, its settings, its temporary tables. For one thread at a time."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open = open_connection
        self._connection = open_connection()
        self._in_force: dict[str, str] = {}  # settings that came with the last query
        self._own: list[str] = []  # SET statements of the client, in order
        self._database = "default"

    def use(self, database: str) -> None:
        self.run(f"USE {name(database)}")
        self._database = database

    def follow_use(self) -> None:
        """A USE of the client succeeded."""
        self._database = blocks.parse_strings(self.run("SELECT toString(currentDatabase())"), 1)[0][0]

    def apply(self, settings: dict[str, str], mark: str) -> None:
        """Have exactly `settings` in force beside the client's own SETs, and mark what runs next."""
        if "readonly" in self._in_force or "allow_ddl" in self._in_force:
            self._reopen()
        dropped = [setting for setting in self._in_force if setting not in settings]
        changed = {key: value for key, value in settings.items() if self._in_force.get(key) != value}
        if dropped:
            self.run("SET " + ", ".join(f"{setting} = DEFAULT" for setting in dropped))
            self._repeat_own()
        self._in_force = dict(settings)
        # `readonly` comes last: nothing can be set after it.
        ordered = sorted({MARK_SETTING: mark, **changed}.items(), key=lambda item: item[0] in {"readonly", "allow_ddl"})
        try:
            self.run("SET " + ", ".join(f"{setting} = {literal(value)}" for setting, value in ordered))
        except NodeError:
            self._in_force = dict.fromkeys(settings, "")  # how far it got is unknown: all are reset next time
            raise

    def remember_set(self, sql: str) -> None:
        """A SET of the client succeeded. It outlives the settings of single queries."""
        if len(self._own) >= 1_000:
            raise NodeError(Code.TOO_LARGE, "more than 1000 SET statements in one session")
        self._own.append(sql)

    def _repeat_own(self) -> None:
        for sql in self._own:
            self.run(sql)

    def _reopen(self) -> None:
        """The one way out of `readonly`. Temporary tables do not survive it."""
        self.close()
        self._connection = self._open()
        self._in_force = {}
        self.use(self._database)
        self._repeat_own()

    def run(self, sql: str, output: str = "Native") -> bytes:
        return bytes(self.result(sql, output).bytes())

    def result(self, sql: str, output: str = "Native") -> Any:
        """Run to the end and hold the whole result. Raises NodeError with the engine's code."""
        try:
            return self._connection.query(sql, output)
        except (ChdbError, RuntimeError) as error:
            raise _explained(from_engine(error)) from error

    def stream(self, sql: str) -> Generator[tuple[bytes, int], None, None]:
        """A SELECT's blocks as (Native bytes, rows), each asked for only when the last was taken. Close it to stop early."""
        try:
            chunks = self._connection.send_query(sql, "Native")
        except (ChdbError, RuntimeError) as error:
            raise from_engine(error) from error
        try:
            for chunk in chunks:
                yield bytes(chunk.bytes()), chunk.rows_read()
        except (ChdbError, RuntimeError) as error:
            raise from_engine(error) from error
        finally:
            with suppress(ChdbError, RuntimeError):  # the error that matters is on its way already
                chunks.close()  # type: ignore[no-untyped-call]

    def describe(self, what: str) -> list[tuple[str, str, str]]:
        """Name, type and kind of default (empty, DEFAULT, MATERIALIZED, ...) of a table's or a SELECT's columns."""
        body = self.run(f"DESCRIBE {what}")
        return [
            (column, type_name, kind) for column, type_name, kind in zip(*blocks.parse_strings(body, 3), strict=True)
        ]

    def describe_beside(self, sql: str) -> list[tuple[str, str]]:
        """Names and types of a SELECT's columns, asked while its stream is open on this session: over a connection of its own."""
        beside = Session(self._open)
        try:
            beside.use(self._database)
            return [(column, type_name) for column, type_name, _ in beside.describe(f"({sql}\n)")]
        finally:
            beside.close()

    def close(self) -> None:
        self._connection.close()
