"""One request of a local sender, as it is kept until the server has it."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Message:
    """`headers`: those that go to the server with the body (its type, its encoding, a CloudEvent's `ce-...`)."""

    headers: Mapping[str, str]
    body: bytes

    def packed(self) -> bytes:
        head = json.dumps(dict(self.headers), separators=(",", ":")).encode()
        return b"".join((_HEAD.pack(len(head)), head, self.body))

    @staticmethod
    def unpacked(packed: bytes) -> "Message":
        (length,) = _HEAD.unpack_from(packed)
        begin = _HEAD.size + length
        return Message(json.loads(packed[_HEAD.size : begin]), packed[begin:])
