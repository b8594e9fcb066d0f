"""What a public trace says of one request, whatever its file format, and how its files are opened.

A format is a module of `metering.replay.formats`. It reads lazily and in time order as far as its file is, counts offsets from
the trace's own zero, and raises TraceError with the line number at the first row that it cannot read: a half-understood trace
would give wrong totals.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

RELATIVE_ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)  # where a trace that has no dates of its own starts


class TraceError(ValueError):
    """The file is not what its format says. The message names file and line."""

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """`row` is unique within the trace and the same each time it is read. Token counts as in the canonical event."""

    row: str
    offset_ms: int  # from the trace's zero
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    client: str = ""  # set where the trace tells customers apart


class Trace(Protocol):
    """One opened trace. Reading it twice gives the same requests."""

    format: str

    @property
    def modelled(self) -> str:
        """Names of the event's fields that the trace does not hold and that we derived, comma-separated; '' for none."""

    def origin(self) -> datetime:
        """The trace's zero: its own first time, or RELATIVE_ORIGIN."""

    def total(self) -> int:
        """How many requests `requests()` gives, cheap to find out. Raises TraceError."""

    def clients(self) -> list[str]:
        """The customers that the trace tells apart; empty where it does not."""

    def digest(self) -> str:
        """SHA-256, hex, of all that decides the requests: the files, and a seed where something is drawn."""

    def requests(self) -> Iterable[TraceRequest]: ...


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The text of a plain or gzipped file. Raises TraceError where there is none, or it is not text."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield file
    except (OSError, EOFError) as error:
        raise TraceError(path, None, f"cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise TraceError(path, None, f"is not UTF-8 text: {error}") from error


def sha256_of(*paths: Path, also: str = "") -> str:
    digest = hashlib.sha256(also.encode())
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise TraceError(path, None, f"cannot be read: {error}") from error
    return digest.hexdigest()


def count_lines(path: Path) -> int:
    """Lines that hold something."""
    with opened(path) as file:
        return sum(1 for line in file if line.strip())


def token_count(value: object, name: str, path: Path, line: int) -> int:
    """A whole number from 0 to 2^40 out of JSON or CSV. Anything else is a TraceError, never a coercion."""
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.isascii() and value.isdigit():
        number = int(value)
    if number is None or not 0 <= number <= 2**40:
        raise TraceError(path, line, f"{name}: expected a whole number from 0 to 2^40, got {value!r}")
    return number
