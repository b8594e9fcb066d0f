"""One client's connection: handshake, then packets one after another until it leaves."""

import hmac
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass

from metering.embedded.clickhouse import packets
from metering.embedded.clickhouse.blocks import MAX_BLOCK_BYTES, Block, read_block
from metering.embedded.clickhouse.engine import Engine, Session
from metering.embedded.clickhouse.errors import ClientGone, Code, NodeError, ProtocolError
from metering.embedded.clickhouse.guard import Guard
from metering.embedded.clickhouse.packets import Client, Hello, Query
from metering.embedded.clickhouse.queries import Answer, QueryRun
from metering.embedded.clickhouse.running import Watch
from metering.embedded.clickhouse.wire import SocketSource, read_text, read_varint

_logger = logging.getLogger(__name__)  # to stderr, where the supervisor keeps it

SMALL_BYTES = 16_384
TRANSFER_S = 300.0  # silence in the middle of a packet, or a client that does not take its result


@dataclass(frozen=True)
class Shared:
    """What all conversations have in common."""

    engine: Engine
    guard: Guard
    watch: Watch
    user: str
    password: str
    version: tuple[int, int, int]
    handshake_s: float  # a connection that has not said Hello by then is closed


class Conversation:
    """Runs in a thread of its own; touches no other conversation."""

    def __init__(self, sock: socket.socket, shared: Shared) -> None:
        self._sock = sock
        self._shared = shared
        self._source = SocketSource(sock, MAX_BLOCK_BYTES)
        self._hello: Hello | None = None

    def run(self) -> None:
        """Until the client leaves or breaks the protocol. Closes the socket; raises nothing."""
        session: Session | None = None
        try:
            with suppress(ClientGone, OSError):
                session = self._shake_hands()
                while session is not None and self._serve_one(session):
                    pass
        finally:
            if session is not None:
                session.close()
            self._sock.close()

    def refuse(self, error: NodeError) -> None:
        """Tell a client why it is not served, and leave."""
        with suppress(OSError):
            self._sock.settimeout(1)
            self._send(packets.exception(error))
        self._sock.close()

    def _send(self, *parts: bytes) -> None:
        """Small parts go out together, large ones as they are."""
        small = b""
        for part in parts:
            if len(part) < SMALL_BYTES:
                small += part
                continue
            self._sock.sendall(small)
            self._sock.sendall(part)
            small = b""
        if small:
            self._sock.sendall(small)

    def _shake_hands(self) -> Session | None:
        self._sock.settimeout(self._shared.handshake_s)
        try:
            self._hello = self._read_hello()
            session = self._shared.engine.session()
        except NodeError as error:
            self._send(packets.exception(error))
            return None
        return self._enter(session, self._hello)

    def _enter(self, session: Session, hello: Hello) -> Session | None:
        try:
            if hello.database:
                session.use(hello.database)
            self._send(packets.hello(self._shared.version, "UTC", hello.revision))
        except (NodeError, OSError) as error:
            session.close()
            if isinstance(error, NodeError):
                self._send(packets.exception(error))
            return None
        return session

    def _read_hello(self) -> Hello:
        if read_varint(self._source) != Client.HELLO:
            raise ProtocolError(Code.UNEXPECTED_PACKET, "Unexpected packet from client: the first one must be Hello")
        hello = packets.read_hello(self._source)
        named = hmac.compare_digest(_bytes(hello.user), _bytes(self._shared.user))
        if not (hmac.compare_digest(_bytes(hello.password), _bytes(self._shared.password)) and named):
            text = f"{hello.user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise NodeError(Code.AUTHENTICATION_FAILED, text)
        return hello

    def _serve_one(self, session: Session) -> bool:
        """One packet. False ends the connection."""
        self._source.forget_read()
        self._sock.settimeout(None)  # an idle client may stay for ever
        if not self._source.unread:
            self._source.fill()
        self._sock.settimeout(TRANSFER_S)
        try:
            self._dispatch(session, read_varint(self._source))
        except ProtocolError as error:
            self._send(packets.exception(error))
            return False
        except NodeError as error:
            self._send(packets.exception(error))
        except (ClientGone, OSError):
            raise
        except Exception as error:  # a fault of ours must not look like a lost server
            _logger.exception("a query failed inside the node")
            self._send(
                packets.exception(NodeError(Code.UNKNOWN, f"{type(error).__name__} inside the embedded ClickHouse"))
            )
            return False
        return True

    def _dispatch(self, session: Session, kind: int) -> None:
        match kind:
            case Client.PING:
                self._send(packets.PONG)
            case Client.QUERY:
                self._query(session, packets.read_query(self._source, self._revision))
            case Client.CANCEL:  # it came after the query's end
                pass
            case Client.TABLES_STATUS:
                packets.skip_tables_status(self._source)
                raise NodeError(Code.NOT_IMPLEMENTED, "TablesStatus is not supported by the embedded ClickHouse")
            case _:
                raise ProtocolError(Code.UNEXPECTED_PACKET, f"Unexpected packet {kind} from client")

    @property
    def _revision(self) -> int:
        return self._hello.revision if self._hello is not None else packets.REVISION

    def _query(self, session: Session, query: Query) -> None:
        external = self._external_tables(query)
        if external:
            raise NodeError(
                Code.NOT_IMPLEMENTED, f"external table {external!r}: not supported by the embedded ClickHouse"
            )
        if not query.complete:
            raise NodeError(Code.NOT_IMPLEMENTED, "only whole queries are run: the stage must be Complete")
        answer = Answer(self._send, lambda: self._next_block(query), compressed=query.compressed)
        QueryRun(self._shared.engine, self._shared.guard, self._shared.watch, session, answer).run(query, self._sock)

    def _external_tables(self, query: Query) -> str:
        """Every query is followed by blocks, the last of them empty. Returns the first external table's name, if any."""
        named = ""
        while True:
            name, block = self._next_named_block(query)
            if not block.columns:
                return named
            named = named or name or "_data"

    def _next_block(self, query: Query) -> Block:
        self._source.forget_read()
        return self._next_named_block(query)[1]

    def _next_named_block(self, query: Query) -> tuple[str, Block]:
        kind = read_varint(self._source)
        if kind == Client.CANCEL:
            raise ProtocolError(Code.QUERY_CANCELLED, "Query was cancelled: the client stopped sending data")
        if kind != Client.DATA:
            raise ProtocolError(Code.UNEXPECTED_PACKET, f"Unexpected packet {kind} from client: a block was expected")
        name = read_text(self._source, packets.MAX_NAME)
        try:
            return name, read_block(self._source, compressed=query.compressed)
        except NodeError as error:  # the block's end is unknown, so nothing after it can be read
            raise ProtocolError(error.code, error.text) from error


def _bytes(text: str) -> bytes:
    return text.encode()
