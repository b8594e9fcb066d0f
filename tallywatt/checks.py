"""The types of the canonical fields, checked where the mistake is made: in the program that records.

Ranges and invariants that depend on what an engine reports (cached <= input, a new finish reason) are left to the server. It keeps a
broken event in quarantine, where it can be fixed; an exception here would lose it.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

MOST_TOKENS = 2**40
STATUSES = ("ok", "error", "cancelled")
TIERS = ("standard", "batch", "priority", "flex")

Check = Callable[[Any], Any]


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {_kind(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode") from None
    return value


def filled_text(value: Any) -> str:
    if not text(value):
        raise ValueError("must not be empty")
    return str(value)


def one_of(choices: tuple[str, ...]) -> Check:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is {value!r}, expected one of {', '.join(choices)}")
        return str(value)

    return check


def tokens(value: Any) -> int:
    """A whole number, as an int: 5.0, "5" and True are no token counts."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an int, got {_kind(value)}")
    if not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"is {value}, expected 0 to {MOST_TOKENS}")
    return int(value)


def milliseconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected milliseconds as a number, got {_kind(value)}")
    if not math.isfinite(value):
        raise ValueError(f"is {value}, expected a finite number of milliseconds")
    return float(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected True or False, got {_kind(value)}")
    return value


def names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of texts, got {_kind(value)}")
    return tuple(text(item) for item in value)


def attributes(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping of text to text, got {_kind(value)}")
    return {text(name): text(item) for name, item in value.items()}


def time(value: Any) -> str:
    """An aware datetime, or milliseconds since 1970 as an int -> RFC 3339 in UTC, cut to the millisecond."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("has no time zone: give an aware datetime, such as datetime.now(UTC)")
        return rfc3339(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an aware datetime or milliseconds since 1970, got {_kind(value)}")
    try:
        return rfc3339(datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"is {value}, which is no time in milliseconds since 1970") from None


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _kind(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.40}"
