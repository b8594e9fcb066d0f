"""What `GET /api/v1/leakage` is asked, read strictly: nothing unknown is ignored, nothing given twice is guessed at."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import QueryDict
from django.utils import timezone

from metering.api.problems import InvalidParameter
from metering.api.times import moment
from metering.telemetry.reconciliation.report import GROUPS, WINDOWS
from metering.telemetry.settled import energy_settled

KNOWN = ("from", "to", "window", "group_by", *GROUPS, "limit", "cursor", "format")
DEFAULT_SPAN = timedelta(hours=24)
DEFAULT_GROUPS = ("node", "engine")
DEFAULT_LIMIT, MOST_LISTED = 1000, 10_000
LONGEST_VALUE = 200
Position = list[str]


@dataclass(frozen=True)
class LeakageAsk:
    """`only`: values of groups that narrow the answer. `after`: the position of the last row already given."""

    start: datetime
    end: datetime
    window: str
    group_by: tuple[str, ...]
    only: Mapping[str, str]
    limit: int
    after: Position | None


def leakage_ask(query: QueryDict) -> LeakageAsk:
    given = _singles(query)
    end = _hour(given, "to") or energy_settled().hour or timezone.now().replace(minute=0, second=0, microsecond=0)
    start = _hour(given, "from") or end - DEFAULT_SPAN
    if start >= end:
        raise InvalidParameter("from", f"{start.isoformat()} is not before to, {end.isoformat()}")
    window = given.get("window", "total")
    if window not in WINDOWS:
        raise InvalidParameter("window", f"{window[:40]!r} is not one of {', '.join(WINDOWS)}")
    only = {name: given[name] for name in GROUPS if name in given}
    return LeakageAsk(start, end, window, _groups(query), only, _limit(given), _after(given))


def encoded(position: Position) -> str:
    """Opaque to callers; it holds a position, never a permission."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def _singles(query: QueryDict) -> dict[str, str]:
    """The parameters that are not empty, each once; `group_by` may be repeated."""
    found = {}
    for name, values in query.lists():
        if name not in KNOWN:
            raise InvalidParameter(name[:80], f"unknown parameter; known: {', '.join(KNOWN)}")
        if len(values) > 1 and name != "group_by":
            raise InvalidParameter(name, "given more than once")
        value = str(values[-1])
        if len(value) > LONGEST_VALUE or "\x00" in value:
            raise InvalidParameter(name, f"longer than {LONGEST_VALUE} characters, or holds a NUL character")
        if value:
            found[name] = value
    return found


def _hour(given: Mapping[str, str], name: str) -> datetime | None:
    if name not in given:
        return None
    found = moment(name, given[name])
    if found != found.replace(minute=0, second=0, microsecond=0):
        raise InvalidParameter(name, f"{found.isoformat()} is not on a whole hour of UTC: hours are compared whole")
    return found


def _groups(query: QueryDict) -> tuple[str, ...]:
    if "group_by" not in query:
        return DEFAULT_GROUPS
    names = [name.strip() for value in query.getlist("group_by") for name in str(value).split(",")]
    for name in names:
        if name and name not in GROUPS:
            raise InvalidParameter("group_by", f"{name[:40]!r} is not one of {', '.join(GROUPS)}")
    return tuple(name for name in GROUPS if name in names)


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LISTED):
        raise InvalidParameter("limit", f"{text[:40]!r} is not a whole number from 1 to {MOST_LISTED}")
    return int(text)


def _after(given: Mapping[str, str]) -> Position | None:
    text = given.get("cursor")
    if text is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        raise InvalidParameter("cursor", "not one that this endpoint gave")
    return found
