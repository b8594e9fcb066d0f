"""One query of one client, from its packet to EndOfStream."""

import socket
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from metering.embedded.clickhouse import blocks, packets, types
from metering.embedded.clickhouse.engine import MARK_SETTING, Engine, Session
from metering.embedded.clickhouse.errors import ClientGone, Code, NodeError
from metering.embedded.clickhouse.guard import Guard, check_setting
from metering.embedded.clickhouse.incoming import Incoming
from metering.embedded.clickhouse.packets import Query, Setting
from metering.embedded.clickhouse.running import End, Running, Watch
from metering.embedded.clickhouse.statements import Insert, Statement, Way, parse

# Statements whose result may be empty and whose columns a client still wants; running them again changes nothing.
_REPEATABLE = frozenset({"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"})
_COMPUTED = frozenset({"MATERIALIZED", "ALIAS"})
_NOT_ASKED_FOR = _COMPUTED | {"EPHEMERAL"}


@dataclass(frozen=True)
class Answer:
    """The two directions of the connection, as a query sees them."""

    send: Callable[..., None]
    next_block: Callable[[], blocks.Block]
    compressed: bool

    def block(self, body: bytes) -> None:
        self.send(*packets.data(body, compressed=self.compressed))


@dataclass(frozen=True)
class QueryRun:
    engine: Engine
    guard: Guard
    watch: Watch
    session: Session
    answer: Answer

    def run(self, query: Query, sock: socket.socket) -> None:
        """Send everything up to EndOfStream. Raises NodeError for what becomes an Exception packet."""
        statement = _killing_by_mark(parse(query.sql))
        self.guard.check(statement)
        settings = self._settings(query.settings)
        mark = query.query_id or str(uuid.uuid4())
        takes = statement.way is Way.TAKE_BLOCKS
        with self.watch.over(mark, None if takes else sock) as running:
            try:
                self.session.apply(_one_stream(settings) if takes else settings, mark)
                self._perform(statement, running, sock)
            except NodeError as error:
                if not self._ended_by_us(running, error):
                    raise
        if statement.verb == "SET":
            self.session.remember_set(statement.sql)
        if statement.verb == "USE":
            self.session.follow_use()
        self.answer.send(packets.END_OF_STREAM)

    def _perform(self, statement: Statement, running: Running, sock: socket.socket) -> None:
        if statement.way is Way.STREAM:
            self._stream(statement)
        elif statement.insert is not None:
            self._take_blocks(statement.insert, running, sock)
        else:
            self._whole(statement)

    def _ended_by_us(self, running: Running, error: NodeError) -> bool:
        """True where the client asked for the end. Raises what it is told if the node ended the query."""
        if running.end is End.CANCELLED:
            return True
        if running.end is End.GONE:
            raise ClientGone("the client left during its query") from error
        if running.end is not None and error.code == Code.QUERY_CANCELLED:
            raise running.error(self.watch.limit_s) from error
        return False

    def _settings(self, given: tuple[Setting, ...]) -> dict[str, str]:
        taken = {}
        for setting in given:
            check_setting(setting.name)
            if setting.name in self.engine.settings:
                taken[setting.name] = setting.value
            elif setting.important:
                raise NodeError(Code.UNKNOWN_SETTING, f"Unknown setting '{setting.name}'")
        return taken

    def _stream(self, statement: Statement) -> None:
        rows = count = size = 0
        columns = _Columns(self.session, statement.sql)
        with closing(self.session.stream(statement.sql)) as stream:
            for body, rows_here in stream:
                if not count:
                    self.answer.block(columns.header(body))
                self.answer.block(columns.restored(body))
                rows, count, size = rows + rows_here, count + 1, size + len(body)
        if not count:
            described = self.session.describe(f"({statement.sql}\n)")
            self.answer.block(blocks.header([(name, type_name) for name, type_name, _ in described]))
        self.answer.send(
            packets.profile_info(rows=rows, blocks_sent=count, size=size), packets.progress(rows=rows, size=size)
        )

    def _whole(self, statement: Statement) -> None:
        result = self.session.result(statement.sql)
        body = bytes(result.bytes())
        if body:
            self.answer.block(blocks.header(blocks.columns_of(body)))
            self.answer.block(body)
            self.answer.send(packets.profile_info(rows=result.rows_read(), blocks_sent=1, size=len(body)))
        elif statement.verb in _REPEATABLE:
            output = self.session.run(statement.sql, "TabSeparatedRawWithNamesAndTypes")
            self.answer.block(blocks.header(_names_and_types(output)))
        self.answer.send(packets.progress(written_rows=result.rows_written(), written_bytes=result.bytes_written()))

    def _take_blocks(self, insert: Insert, running: Running, sock: socket.socket) -> None:
        columns = self._awaited(insert)
        for _, type_name in columns:
            types.column(type_name)  # raises before the client sends what could not be followed
        incoming = Incoming(self.engine.folder, columns)
        try:
            self.answer.block(blocks.header(columns))
            self._receive(incoming, running)
            running.watched = sock  # from here on its bytes are signals
            if incoming.rows:
                result = self.session.result(incoming.statement(insert.head))
                self.answer.send(
                    packets.progress(written_rows=result.rows_written(), written_bytes=result.bytes_written())
                )
        finally:
            incoming.close()

    def _receive(self, incoming: Incoming, running: Running) -> None:
        """The client's blocks up to its empty one. All are read even after an error, so that the connection lives."""
        failed: NodeError | None = None
        while (block := self.answer.next_block()).columns:
            if failed is None and running.end is not None:
                failed = running.error(self.watch.limit_s)
            if failed is None and block.rows:
                failed = _kept(incoming, block)
        if failed is not None:
            raise failed

    def _awaited(self, insert: Insert) -> list[tuple[str, str]]:
        """Names and types of the columns that the client is to send, in its own order."""
        if insert.columns is None and insert.column_list != "*":
            # The client's own words, from a statement that passed the guard.
            described = self.session.describe(f"(SELECT {insert.column_list} FROM {insert.table})")  # noqa: S608
            return [(name, type_name) for name, type_name, _ in described]
        known = self.session.describe(f"TABLE {insert.table}")
        if insert.columns is None:
            return [(name, type_name) for name, type_name, kind in known if kind not in _NOT_ASKED_FOR]
        by_name = {name: (type_name, kind) for name, type_name, kind in known}
        for name in insert.columns:
            if name not in by_name:
                raise NodeError(Code.NO_SUCH_COLUMN, f"No such column {name} in table {insert.table}")
            if by_name[name][1] in _COMPUTED:
                raise NodeError(
                    Code.ILLEGAL_COLUMN, f"Cannot insert column {name}, because it is {by_name[name][1]} column"
                )
        return [(name, by_name[name][0]) for name in insert.columns]


def _one_stream(settings: dict[str, str]) -> dict[str, str]:
    """A client's rows are one stream, as on a server; a statement that reads a file would be split over threads."""
    return {"max_insert_threads": "1"} | settings


class _Columns:
    """Names and types of a streamed result, and its blocks with the types that they should have.

    The engine's Native format, meant for files and for very old clients, has no header block before the rows and writes a
    column of `DateTime('UTC')` as plain `DateTime`. A client of the protocol is owed both.
    """

    def __init__(self, session: Session, sql: str) -> None:
        self._session = session
        self._sql = sql
        self._types: list[str] | None = None  # set only if they differ from what the blocks say

    def header(self, body: bytes) -> bytes:
        """The header block for a result that begins with the block `body`."""
        try:
            columns = blocks.columns_of(body)
        except NodeError:  # such as states of aggregate functions, which the node cannot step over
            return blocks.header(self._session.describe_beside(self._sql))
        if any(type_name == "DateTime" for _, type_name in columns):
            columns = self._session.describe_beside(self._sql)
            self._types = [type_name for _, type_name in columns]
        return blocks.header(columns)

    def restored(self, body: bytes) -> bytes:
        return body if self._types is None else blocks.retyped(body, self._types)


def _kept(incoming: Incoming, block: blocks.Block) -> NodeError | None:
    try:
        incoming.add(block)
    except NodeError as error:
        return error
    return None


def _names_and_types(output: bytes) -> list[tuple[str, str]]:
    names, types_, *_ = [*output.decode().split("\n"), "", ""]
    pairs = zip(names.split("\t"), types_.split("\t"), strict=False)
    return [(name, type_name) for name, type_name in pairs if name]


def _killing_by_mark(statement: Statement) -> Statement:
    """Clients know a query by the id they gave it, the engine by its own: KILL QUERY is told of the mark instead."""
    if statement.verb != "KILL":
        return statement
    sql = statement.sql
    for token in reversed(statement.tokens):
        if token.identifier.lower() == "query_id":
            sql = f"{sql[: token.start]}Settings['{MARK_SETTING}']{sql[token.end :]}"
    return Statement(sql, statement.tokens, statement.way)
