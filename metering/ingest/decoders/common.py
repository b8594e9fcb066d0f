"""What the decoders share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from metering.contracts import RejectReason
from metering.ingest.columns import Columnar
from metering.ingest.context import Decoded
from metering.ingest.fields import FieldError

MOST_VALUES = 5_000_000  # each costs some 60 bytes once it is read; 100,000 events have fewer


class Undecodable(ValueError):
    """The body as a whole cannot be read: 400, and it is kept in quarantine."""


class TooManyEvents(ValueError):
    """More events than one request may carry: 422."""


class UnknownContentType(ValueError):
    """415: nothing here speaks it."""


class BadEvent(Exception):
    """Why one event cannot be read; `field` is its name as the sender wrote it."""

    def __init__(self, field: str, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.error = FieldError(reason, message)


@dataclass(frozen=True)
class Decoder:
    """One protocol. `name` is kept with what is refused; `receipt`: the answer is 202 with a receipt, else 204 or 400.

    `decode` takes the inflated body and the most events that are taken at once, and yields every event, good or bad.
    `columns`, if the protocol has a fast road, reads the same body into columns; None where that does not work out.
    """

    name: str
    decode: Callable[[bytes, int], Iterable[Decoded]]
    receipt: bool = False
    columns: Callable[[bytes, int], Columnar | None] | None = None


def load(raw: bytes) -> Any:
    """JSON, strictly: no NaN, no comments. Raises ValueError (RecursionError is one to the caller)."""
    return orjson.loads(raw)


def check_values(raw: bytes) -> None:
    """Raises TooManyEvents for JSON that would become many times its size in memory: `[[],[],...` takes 40 times its bytes."""
    if len(raw) > MOST_VALUES and raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
        raise TooManyEvents(f"the JSON has more than {MOST_VALUES} values; send fewer events at once")


def malformed(index: int, raw: bytes, message: str, field: str = "") -> Decoded:
    return Decoded(index, raw, None, FieldError(RejectReason.MALFORMED, message), field)


def check_count(count: int, most: int) -> None:
    if count > most:
        raise TooManyEvents(f"the request has {count} events, at most {most} are taken at once")
