"""One input of the fuzzer, and how it travels to the process under test and into a file."""

import json
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

LENGTHS = struct.Struct("<II")


@dataclass(frozen=True)
class Case:
    """A request. `key`: whose API key it carries (tenant, operator, observing, none). `note`: how it was made."""

    path: str
    content_type: str
    body: bytes
    encoding: str = ""
    key: str = "tenant"
    note: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def write(self, pipe: BinaryIO) -> None:
        head = json.dumps({name: value for name, value in vars(self).items() if name != "body"}).encode()
        pipe.write(LENGTHS.pack(len(head), len(self.body)) + head + self.body)
        pipe.flush()


def read(pipe: BinaryIO) -> Case | None:
    """The next case; None at the end."""
    lengths = pipe.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return Case(**json.loads(pipe.read(head)), body=pipe.read(body))
