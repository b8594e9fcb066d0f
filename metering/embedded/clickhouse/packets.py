"""Packets of the native protocol at revision 54453: what a client sends, parsed; what the node answers, encoded.

54453 is the newest revision before custom serialisation (54454), so the engine's Native output is the body of a Data packet as
it is. Clients negotiate down to it. Server-side parameters need 54459 and are therefore not offered.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from metering.embedded.clickhouse import blocks, compression
from metering.embedded.clickhouse.errors import Code, NodeError, ProtocolError
from metering.embedded.clickhouse.wire import Source, int32, read_byte, read_text, read_varint, take, text, varint

REVISION = 54453
OLDEST_REVISION = 54429  # settings as strings
WITH_INTERSERVER_SECRET = 54441
WITH_OPENTELEMETRY = 54442
WITH_DISTRIBUTED_DEPTH = 54448
WITH_START_TIME = 54449
WITH_PARALLEL_REPLICAS = 54453

MAX_NAME = 4_096
MAX_SETTINGS = 1_000
MAX_SETTING_VALUE = 1 << 20
MAX_QUERY = 2 << 20
COMPLETE_STAGE = 2
IMPORTANT = 0x01


class Client(IntEnum):
    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4
    TABLES_STATUS = 5


class Server(IntEnum):
    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE_INFO = 6


@dataclass(frozen=True)
class Hello:
    revision: int  # in use on this connection: the lower of the two sides'
    database: str
    user: str
    password: str


@dataclass(frozen=True)
class Setting:
    name: str
    value: str
    important: bool  # an unknown one fails the query; else it is ignored


@dataclass(frozen=True)
class Query:
    query_id: str
    settings: tuple[Setting, ...]
    complete: bool
    compressed: bool
    sql: str


def read_hello(source: Source) -> Hello:
    """The rest of a Hello packet, after its type. Raises ProtocolError for a client that is too old."""
    read_text(source, MAX_NAME)
    read_varint(source)
    read_varint(source)
    revision = read_varint(source)
    database, user, password = (read_text(source, MAX_NAME) for _ in range(3))
    if revision < OLDEST_REVISION:
        raise ProtocolError(Code.NOT_IMPLEMENTED, f"client revision {revision} is older than {OLDEST_REVISION}")
    return Hello(min(revision, REVISION), database, user, password)


def read_query(source: Source, revision: int) -> Query:
    """The rest of a Query packet, after its type."""
    query_id = read_text(source, MAX_NAME)
    _skip_client_info(source, revision)
    settings = _read_settings(source)
    if revision >= WITH_INTERSERVER_SECRET:
        read_text(source, MAX_NAME)
    stage, compressed = read_varint(source), read_varint(source)
    return Query(query_id, settings, stage == COMPLETE_STAGE, bool(compressed), read_text(source, MAX_QUERY))


def _skip_client_info(source: Source, revision: int) -> None:
    if read_byte(source) == 0:  # no query kind: nothing follows
        return
    for _ in range(3):  # initial user, query id, address
        read_text(source, MAX_NAME)
    if revision >= WITH_START_TIME:
        take(source, 8)
    if read_byte(source) != 1:
        raise ProtocolError(Code.UNEXPECTED_PACKET, "the client's interface is not TCP")
    for _ in range(3):  # system user, host name, client name
        read_text(source, MAX_NAME)
    for _ in range(3):  # major, minor, revision
        read_varint(source)
    read_text(source, MAX_NAME)  # quota key
    if revision >= WITH_DISTRIBUTED_DEPTH:
        read_varint(source)
    read_varint(source)  # patch
    if revision >= WITH_OPENTELEMETRY and read_byte(source):
        take(source, 24)
        read_text(source, MAX_NAME)
        take(source, 1)
    if revision >= WITH_PARALLEL_REPLICAS:
        for _ in range(3):
            read_varint(source)


def _read_settings(source: Source) -> tuple[Setting, ...]:
    settings: list[Setting] = []
    while name := read_text(source, MAX_NAME):
        if len(settings) == MAX_SETTINGS:
            raise ProtocolError(Code.TOO_LARGE, f"more than {MAX_SETTINGS} settings in a query packet")
        flags = read_varint(source)
        settings.append(Setting(name, read_text(source, MAX_SETTING_VALUE), bool(flags & IMPORTANT)))
    return tuple(settings)


def skip_tables_status(source: Source) -> None:
    count = read_varint(source)
    if count > MAX_SETTINGS:
        raise ProtocolError(Code.TOO_LARGE, f"{count} tables in a TablesStatus request")
    for _ in range(2 * count):
        read_text(source, MAX_NAME)


def hello(version: tuple[int, int, int], timezone: str, revision: int) -> bytes:
    major, minor, patch = version
    head = varint(Server.HELLO) + text("ClickHouse") + varint(major) + varint(minor) + varint(REVISION)
    return head + text(timezone) + text("tallywatt embedded") + varint(patch)


def data(body: bytes, *, compressed: bool) -> Iterator[bytes]:
    """A Data packet around a block in the Native format, in parts: a block can be large and is not copied whole."""
    yield varint(Server.DATA) + text("")
    if compressed:
        yield from compression.frames(blocks.INFO)
        yield from compression.frames(body)
    else:
        yield blocks.INFO
        yield body


def exception(error: NodeError) -> bytes:
    message = f"DB::Exception: {error.text}"
    return varint(Server.EXCEPTION) + int32(error.code) + text("DB::Exception") + text(message) + text("") + b"\x00"


def progress(*, rows: int = 0, size: int = 0, written_rows: int = 0, written_bytes: int = 0) -> bytes:
    """What was read and written since the last such packet; sizes in bytes."""
    return varint(Server.PROGRESS) + b"".join(varint(n) for n in (rows, size, 0, written_rows, written_bytes))


def profile_info(*, rows: int, blocks_sent: int, size: int) -> bytes:
    return varint(Server.PROFILE_INFO) + varint(rows) + varint(blocks_sent) + varint(size) + b"\x00\x00\x00"


PONG = varint(Server.PONG)
END_OF_STREAM = varint(Server.END_OF_STREAM)
