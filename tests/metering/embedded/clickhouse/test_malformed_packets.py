"""Bytes that are no protocol end the connection that they came on, and no other."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from clickhouse_driver import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.embedded.clickhouse import compression, packets, types
from metering.embedded.clickhouse.errors import NodeError
from metering.embedded.clickhouse.wire import text, varint
from tests.metering.embedded.clickhouse.node_process import PASSWORD, USER, NodeProcess

HELLO = (
    varint(0)
    + text("test")
    + varint(1)
    + varint(1)
    + varint(packets.REVISION)
    + text("tests")
    + text(USER)
    + text(PASSWORD)
)
NO_BLOCK = b"\x02\x00\x01\x00\x02\xff\xff\xff\xff\x00\x00\x00"


def query(sql: str, *, settings: bytes = b"\x00", compressed: int = 0, stage: int = 2) -> bytes:
    info = (
        b"\x01"
        + text("") * 3
        + bytes(8)
        + b"\x01"
        + text("") * 3
        + varint(1) * 3
        + text("")
        + varint(0) * 2
        + b"\x00"
        + bytes(3)
    )
    return varint(1) + text("") + info + settings + text("") + varint(stage) + varint(compressed) + text(sql)


@contextmanager
def raw(node: NodeProcess, *, hello: bool = True) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        if hello:
            sock.sendall(HELLO)
            assert sock.recv(1) == b"\x00"
            sock.settimeout(0.2)
            _drain(sock)
            sock.settimeout(10)
        yield sock


def _drain(sock: socket.socket) -> bytes:
    found = b""
    try:
        while part := sock.recv(65_536):
            found += part
    except (TimeoutError, ConnectionResetError):
        pass
    return found


def code_then_end(sock: socket.socket) -> int | None:
    """The code of the Exception packet, if one came, before the node hung up."""
    answer = _drain(sock)
    at = answer.find(b"\x0dDB::Exception")
    return struct.unpack("<i", answer[at - 4 : at])[0] if at >= 4 else None


BLOCK = b"\x02\x00\x01\x00\x02\xff\xff\xff\xff\x00"
INSERT = query("INSERT INTO malformed VALUES") + NO_BLOCK
FRAME = query("SELECT 1", compressed=1) + b"\x02\x00" + bytes(16) + b"\x82"
MALFORMED = {
    "an unknown packet": (varint(77), 101),
    "a second hello": (HELLO, 101),
    "a block out of turn": (NO_BLOCK, 101),
    "a text that is not UTF-8": (varint(1) + text("")[:-1] + b"\x02\xff\xfe", 117),
    "an endless number": (b"\xff" * 11, 117),
    "a query of 2 GB": (varint(1) + varint(2 << 30), 131),
    "a query text of 1 GB": (query("")[:-1] + varint(1 << 30), 131),
    "a setting of 1 GB": (query("", settings=text("a") + b"\x00" + varint(1 << 30)), 131),
    "too many settings": (query("", settings=(text("a") + b"\x00" + text("1")) * 2000 + b"\x00"), 131),
    "an interface that is not TCP": (varint(1) + text("") + b"\x01" + text("") * 3 + bytes(8) + b"\x02", 101),
    "a block of 2**40 rows": (INSERT + BLOCK + varint(1) + varint(1 << 40), 131),
    "a block of 2**40 columns": (INSERT + BLOCK + varint(1 << 40) + varint(1), 131),
    "a string of 2**50 bytes in a block": (
        INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("String") + varint(1 << 50),
        131,
    ),
    "an endless string length": (
        INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("String") + b"\xff" * 12,
        117,
    ),
    "an array of 2**60 items": (
        INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("Array(UInt64)") + (1 << 60).to_bytes(8, "little"),
        131,
    ),
    "an unknown type in a block": (INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("Nonsuch(3)"), 48),
    "a type nested without end": (
        INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("Array(" * 200 + "UInt8" + ")" * 200),
        48,
    ),
    "a field of block info that does not exist": (INSERT + b"\x02\x00\x09", 117),
    "a dictionary of an unknown version": (
        INSERT + BLOCK + varint(1) + varint(1) + text("b") + text("LowCardinality(String)") + bytes(8),
        117,
    ),
    "a corrupted frame": (FRAME + struct.pack("<II", 20, 10) + bytes(11), 40),
    "a frame of 3 GB": (FRAME + struct.pack("<II", 3 << 30, 10), 131),
    "a frame that inflates to 3 GB": (FRAME + struct.pack("<II", 20, 3 << 30), 131),
    "a frame shorter than its header": (FRAME + struct.pack("<II", 3, 10), 131),
}


@pytest.fixture
def table(client: Client) -> Client:
    client.execute("DROP TABLE IF EXISTS malformed")
    client.execute("CREATE TABLE malformed (a UInt64, b String) ENGINE = Memory")
    return client


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_packet_ends_its_connection_with_a_reason(node: NodeProcess, table: Client, name: str) -> None:
    sent, code = MALFORMED[name]
    with raw(node) as sock:
        sock.sendall(sent)
        assert code_then_end(sock) == code
    assert table.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", bytes(100), varint(0) + varint(1 << 40)]
)
def test_another_protocol_is_hung_up_on(node: NodeProcess, table: Client, sent: bytes) -> None:
    with raw(node, hello=False) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        _drain(sock)
    assert table.execute("SELECT 1") == [(1,)]


def test_external_tables_are_refused_and_the_connection_stays(node: NodeProcess) -> None:
    client = node.client()
    client.connection.connect()
    table = {"name": "ext", "structure": [("x", "UInt8"), ("s", "String")], "data": [{"x": 1, "s": "a"}]}
    client.connection.send_query("SELECT * FROM ext")
    client.connection.send_external_tables([table])
    assert client.connection.receive_packet().exception.code == 48
    assert client.connection.ping()
    client.disconnect()


def test_a_stage_other_than_complete_is_refused(node: NodeProcess) -> None:
    with raw(node) as sock:
        sock.sendall(query("SELECT 1", stage=1) + NO_BLOCK)
        sock.settimeout(0.5)
        assert code_then_end(sock) == 48


def test_a_request_for_the_status_of_tables_is_refused_and_the_connection_stays(node: NodeProcess) -> None:
    with raw(node) as sock:
        sock.sendall(varint(5) + varint(1) + text("d") + text("t"))
        sock.settimeout(0.5)
        assert code_then_end(sock) == 48
        sock.sendall(varint(4))
        assert sock.recv(1) == b"\x04"


def test_a_packet_cut_anywhere_does_no_harm(node: NodeProcess, table: Client) -> None:
    whole = INSERT + BLOCK + varint(1) + varint(2) + text("b") + text("String") + text("x") + text("y")
    for cut in range(1, len(whole), 7):
        with raw_quick(node) as sock:
            sock.sendall(whole[:cut])
    assert table.execute("SELECT count() FROM malformed") == [(0,)]


@contextmanager
def raw_quick(node: NodeProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        sock.sendall(HELLO)
        yield sock


def test_a_packet_in_single_bytes_is_understood(node: NodeProcess, table: Client) -> None:
    begun = query("INSERT INTO malformed (b) VALUES") + NO_BLOCK + BLOCK
    whole = begun + varint(1) + varint(2) + text("b") + text("String") + text("x" * 200) + text("y") + NO_BLOCK
    with raw(node) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            sock.sendall(bytes([byte]))
        sock.settimeout(1)
        assert code_then_end(sock) is None
    assert table.execute("SELECT count() FROM malformed") == [(2,)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=300), at=st.integers(0, 60), hello=st.booleans(), keep=st.booleans())
def test_noise_in_a_conversation_never_reaches_other_clients(
    node: NodeProcess, noise: bytes, at: int, hello: bool, keep: bool
) -> None:
    valid = query("SELECT 1") + NO_BLOCK
    sent = valid[:at] + noise + (valid[at:] if keep else b"")
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        sock.sendall((HELLO if hello else b"") + sent)
    assert node.process.poll() is None


def test_after_all_that_noise_the_node_still_answers(client: Client) -> None:
    assert client.execute("SELECT 1") == [(1,)]


class _Bytes:
    limit = 1 << 30

    def __init__(self, data: bytes) -> None:
        self.data, self.position = bytearray(data), 0

    def fill(self) -> None:
        raise NodeError(0, "end")


@given(data=st.binary(max_size=2_000_000))
@settings(max_examples=50, deadline=None)
def test_what_is_compressed_comes_back(data: bytes) -> None:
    source, found = _Bytes(b"".join(compression.frames(data))), b""
    while source.position < len(source.data):
        found += compression.read_frame(source, 1 << 22)
    assert found == data


@given(name=st.text(alphabet="ArayNuleTpMo(),' `1UIt8StringDecmFxd", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_as_a_type_is_followed_or_refused(name: str) -> None:
    with suppress(NodeError):  # anything else is a fault
        assert types.column(name)
