"""The bytes of an entry as something that a person can read, and, if they are text, edit.

JSON is indented token by token and never parsed and written again: what is shown are the sender's own numbers and names, twice
given ones included.
"""

import re
from dataclasses import dataclass

import orjson

BYTES_A_LINE = 16
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
# What a page or a terminal would not show as itself. Line ends and tabs stay.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Rendering:
    """`kind`: json, text or hex. Only JSON and text can be edited; `hex` is a dump with offsets."""

    kind: str
    text: str

    @property
    def editable(self) -> bool:
        return self.kind != "hex"


def rendered(raw: bytes) -> Rendering:
    """Never fails: what is no JSON is text, and what is no text is a dump."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Rendering("hex", hex_dump(raw))
    if _is_json(raw):
        return Rendering("json", indented(text))
    if CONTROL.search(text):
        return Rendering("hex", hex_dump(raw))
    return Rendering("text", text)


def indented(text: str) -> str:
    """A JSON document with line ends and two blanks a level; every token is as it was."""
    parts: list[str] = []
    depth = 0
    tokens = TOKEN.findall(text)
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if token in {"{", "["}:
            depth += 1
            parts.append(token if following in {"}", "]"} else token + _line(depth))
        elif token in {"}", "]"}:
            depth -= 1
            parts.append(token if parts[-1] in {"{", "["} else _line(depth) + token)
        else:
            parts.append(token + {",": _line(depth), ":": " "}.get(token, ""))
    return "".join(parts)


def hex_dump(raw: bytes) -> str:
    """Offset, sixteen bytes, and those of them that are printable ASCII."""
    lines = []
    for offset in range(0, len(raw), BYTES_A_LINE):
        part = raw[offset : offset + BYTES_A_LINE]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<{BYTES_A_LINE * 3 - 1}}  {shown}")
    return "\n".join(lines)


def _line(depth: int) -> str:
    return "\n" + "  " * depth


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except ValueError:
        return False
    return True
