"""A batch of lines -> the body of a request: NDJSON, or an Arrow IPC stream where pyarrow is installed and Arrow was asked for."""

import gzip
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["ndjson", "arrow"]
NDJSON_TYPE = "application/x-ndjson"
ARROW_TYPE = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Body:
    """What is posted: the same bytes on every retry."""

    content: bytes
    headers: dict[str, str]


class Encoder:
    """Turns lines into bodies. Raises ValueError for a format that is unknown or not installed."""

    def __init__(self, chosen: Format, *, compress: bool) -> None:
        if chosen not in {"ndjson", "arrow"}:
            raise ValueError(f"format is {chosen!r}, expected 'ndjson' or 'arrow'")
        self._type, self._write = (NDJSON_TYPE, _ndjson) if chosen == "ndjson" else (ARROW_TYPE, _arrow_writer())
        self._compress = compress

    def encode(self, lines: Sequence[bytes]) -> Body:
        content, headers = self._write(lines), {"Content-Type": self._type}
        if not self._compress:
            return Body(content, headers)
        # Without a time in its header, so that a retry is the same to the byte.
        return Body(gzip.compress(content, 1, mtime=0), headers | {"Content-Encoding": "gzip"})

    def fall_back(self) -> bool:
        """Go on as plain NDJSON, for a server that does not take the rest; False if that is what is spoken already."""
        if self._type == NDJSON_TYPE and not self._compress:
            return False
        self._type, self._write, self._compress = NDJSON_TYPE, _ndjson, False
        return True


def _ndjson(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _arrow_writer() -> Callable[[Sequence[bytes]], bytes]:
    """pyarrow is optional and slow to import: it is loaded for those who ask for it only."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ValueError("format='arrow' needs pyarrow: pip install 'tallywatt[arrow]'")
    encode: Callable[[Sequence[bytes]], bytes] = importlib.import_module("tallywatt.arrow").encode
    return encode
