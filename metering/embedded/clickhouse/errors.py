"""Errors as ClickHouse reports them: a code, the name of the exception class and a text."""

import re
from enum import IntEnum


class Code(IntEnum):
    """ClickHouse's error codes that this node itself answers with; the engine's own pass through unchanged."""

    NOT_FOUND_COLUMN = 10
    NO_SUCH_COLUMN = 16
    CHECKSUM_MISMATCH = 40
    ILLEGAL_COLUMN = 44
    NOT_IMPLEMENTED = 48
    UNKNOWN_TYPE = 50
    SYNTAX_ERROR = 62
    UNKNOWN_COMPRESSION = 89
    INCORRECT_DATA = 117
    UNEXPECTED_PACKET = 101
    UNKNOWN_SETTING = 115
    TIMEOUT = 159
    TOO_LARGE = 131
    TOO_MANY_QUERIES = 202
    SAME_QUERY_ID = 216
    ABORTED = 236
    NOT_ENOUGH_SPACE = 243
    QUERY_CANCELLED = 394
    SETTING_CONSTRAINT = 452
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516
    UNKNOWN = 1002


class NodeError(Exception):
    """Reaches the client as an Exception packet; the connection stays usable."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ProtocolError(NodeError):
    """The byte stream can no longer be followed: the client is told why and its connection is closed."""


class ClientGone(Exception):
    """The client closed its connection, or it stayed silent in the middle of a packet."""


_HEAD = re.compile(r"Code: (\d+)\. DB::(?:\w+): ")
# The engine closes its text with the code's name, which a server does not send: "... (UNKNOWN_TABLE)".
_TAIL = re.compile(r"(?: \(version [\d.]+\)\.)?(?: \([A-Z0-9_]+\))\s*$")


def from_engine(error: BaseException) -> NodeError:
    """The code and the text inside the engine's message, whatever the binding wrapped around it."""
    message = str(error)
    head = _HEAD.search(message)
    if head is None:
        return NodeError(Code.UNKNOWN, message)
    text = message[head.end() :]
    while nested := _HEAD.match(text):
        text = text[nested.end() :]
    return NodeError(int(head.group(1)), _without_tail(text))


def _without_tail(text: str) -> str:
    while (shorter := _TAIL.sub("", text)) != text:
        text = shorter
    return text
