"""One event as a decoder read it, and what it is checked against."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from metering.contracts import Credential
from metering.ingest.fields import FieldError


@dataclass(frozen=True)
class Decoded:
    """One event as a decoder read it. `event` None: it could not be read, `error` says why.

    `is_meter`: not a request but usage of another kind: `event` then holds `type`, `id`, `source`, `time`, `tenant` and `data`.
    """

    index: int
    raw: bytes
    event: dict[str, Any] | None = None
    error: FieldError | None = None
    error_field: str = ""
    is_meter: bool = False


@dataclass(frozen=True)
class Context:
    """What an event is checked against: who sends it, and which times are taken."""

    credential: Credential
    now: datetime
    max_age: timedelta
    max_future: timedelta
