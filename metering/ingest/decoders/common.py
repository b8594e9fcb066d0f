"""What the JSON decoders share."""

from typing import Any

import orjson

from metering.contracts import RejectReason
from metering.ingest.checking import Decoded
from metering.ingest.fields import FieldError


class Undecodable(ValueError):
    """The body as a whole cannot be read: 400, and it is kept in quarantine."""


class TooManyEvents(ValueError):
    """More events than one request may carry: 422."""


def load(raw: bytes) -> Any:
    """JSON, strictly: no NaN, no comments. Raises ValueError (RecursionError is one to the caller)."""
    return orjson.loads(raw)


def malformed(index: int, raw: bytes, message: str, field: str = "") -> Decoded:
    return Decoded(index, raw, None, FieldError(RejectReason.MALFORMED, message), field)


def check_count(count: int, most: int) -> None:
    if count > most:
        raise TooManyEvents(f"the request has {count} events, at most {most} are taken at once")
