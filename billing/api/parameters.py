"""Query parameters of the finance endpoints: read strictly, refused by name. Nothing unknown is ignored."""

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict
from django.utils import timezone

from billing import periods
from metering.contracts import DIMENSIONS
from metering.public_api import InvalidParameter, moment

WINDOWS = ("hour", "day", "month", "total")
DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000


@dataclass(frozen=True)
class UsageAsk:
    """What was asked for, by windows. `limit` None: all rows. `after`: the sort key of the last row already given."""

    start: datetime
    end: datetime
    window: str
    group_by: tuple[str, ...]
    limit: int | None
    after: list[object] | None


def usage_ask(query: QueryDict, *, every_tenant: bool, everything: bool) -> UsageAsk:
    """`every_tenant`: an operator's key, which may group by tenant. `everything`: no limit unless one is asked for (CSV)."""
    refuse_unknown(query, ("from", "to", "window", "group_by", "tenant", "limit", "cursor", "format"))
    now = timezone.now()
    start = moment_of(query, "from") or periods.month_of(now).start
    end = moment_of(query, "to") or now
    groups = groups_of(query, ("tenant", *DIMENSIONS) if every_tenant else DIMENSIONS)
    return windows_ask(query, start, end, groups, everything=everything)


def windows_ask(
    query: QueryDict, start: datetime, end: datetime, groups: tuple[str, ...], *, everything: bool
) -> UsageAsk:
    """What is the same of every question about windows of `[start, end)`."""
    if start >= end:
        raise InvalidParameter("from", f"{start.isoformat()} is not before to, {end.isoformat()}")
    window = single(query, "window") or "total"
    if window not in WINDOWS:
        raise InvalidParameter("window", f"{window!r} is not one of {', '.join(WINDOWS)}")
    cursor = _cursor(query)
    if cursor is not None and not isinstance(cursor, list):
        raise InvalidParameter("cursor", "not one that this endpoint gave")
    return UsageAsk(start, end, window, groups, limit(query, everything=everything), cursor)


def limit(query: QueryDict, *, everything: bool) -> int | None:
    text = single(query, "limit")
    if text is None:
        return None if everything else DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise InvalidParameter("limit", f"{text!r} is not a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def cursor_text(query: QueryDict) -> str | None:
    """A cursor that holds one word."""
    cursor = _cursor(query)
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidParameter("cursor", "not one that this endpoint gave")
    return cursor


def encoded(cursor: object) -> str:
    """Opaque to callers; it holds a position, never a permission."""
    return base64.urlsafe_b64encode(json.dumps(cursor, separators=(",", ":")).encode()).decode().rstrip("=")


def single(query: QueryDict, name: str) -> str | None:
    """None if it is absent or empty. Twice is refused: which one counts would be a guess."""
    values = query.getlist(name)
    if len(values) > 1:
        raise InvalidParameter(name, "given more than once")
    if values and "\x00" in values[0]:
        raise InvalidParameter(name, "holds a NUL character")
    return values[0] or None if values else None


def refuse_unknown(query: QueryDict, known: Collection[str]) -> None:
    for name in query:
        if name not in known:
            raise InvalidParameter(name, f"unknown parameter; known: {', '.join(known)}")


def _cursor(query: QueryDict) -> object:
    text = single(query, "cursor")
    if text is None:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidParameter("cursor", "not one that this endpoint gave") from None


def moment_of(query: QueryDict, name: str) -> datetime | None:
    text = single(query, name)
    return None if text is None else moment(name, text)


def groups_of(query: QueryDict, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """`group_by=model,project` or the parameter repeated. The currency is always a group and may be named."""
    names = [name.strip() for value in query.getlist("group_by") for name in value.split(",")]
    for name in names:
        if name and name != "currency" and name not in allowed:
            raise InvalidParameter("group_by", f"{name!r} is not one of {', '.join(allowed)}")
    return tuple(dict.fromkeys(name for name in names if name and name != "currency"))
