"""What the saturation endpoints are asked, read strictly: nothing unknown is ignored, nothing given twice is guessed at."""

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
from metering.clickhouse.queries.fleet_series import ENGINE_GROUPS
from metering.telemetry.fleet_history import FleetRange
from metering.telemetry.saturation_scopes import ENGINE, GROUPS
from metering.telemetry.spans import MINUTE, minute_of

CURRENT = (ENGINE, *GROUPS)
WINDOWS = {"minute": MINUTE, "hour": timedelta(hours=1), "day": timedelta(days=1)}
DEFAULT_SPAN = timedelta(hours=1)
DEFAULT_LIMIT, MOST_LISTED = 1000, 10_000
LONGEST_VALUE = 200
Position = list[str]


@dataclass(frozen=True)
class CurrentAsk:
    group_by: str
    only: Mapping[str, str]


@dataclass(frozen=True)
class HistoryAsk:
    """`after`: the position of the last row already given."""

    range: FleetRange
    limit: int
    after: Position | None


def current_ask(query: QueryDict) -> CurrentAsk:
    given = _singles(query, ("group_by", *ENGINE_GROUPS, "format"))
    group = given.get("group_by", ENGINE)
    if group not in CURRENT:
        raise InvalidParameter("group_by", f"{group[:40]!r} is not one of {', '.join(CURRENT)}")
    return CurrentAsk(group, _only(given))


def history_ask(query: QueryDict) -> HistoryAsk:
    given = _singles(query, ("from", "to", "window", "group_by", *ENGINE_GROUPS, "limit", "cursor", "format"))
    end = _minute(given, "to") or minute_of(timezone.now())
    start = _minute(given, "from") or end - DEFAULT_SPAN
    if start >= end:
        raise InvalidParameter("from", f"{start.isoformat()} is not before to, {end.isoformat()}")
    asked = FleetRange(start, end, _step(given, start, end), _groups(given), _only(given))
    return HistoryAsk(asked, _limit(given), _after(given))


def encoded(position: Position) -> str:
    """Opaque to callers; it holds a position, never a permission."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def _singles(query: QueryDict, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters that are not empty, each once."""
    found = {}
    for name, values in query.lists():
        if name not in known:
            raise InvalidParameter(name[:80], f"unknown parameter; known: {', '.join(known)}")
        if len(values) > 1:
            raise InvalidParameter(name, "given more than once")
        value = str(values[-1])
        if len(value) > LONGEST_VALUE or "\x00" in value:
            raise InvalidParameter(name, f"longer than {LONGEST_VALUE} characters, or holds a NUL character")
        if value:
            found[name] = value
    return found


def _only(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[name] for name in ENGINE_GROUPS if name in given}


def _minute(given: Mapping[str, str], name: str) -> datetime | None:
    if name not in given:
        return None
    found = moment(name, given[name])
    if found != minute_of(found):
        raise InvalidParameter(name, f"{found.isoformat()} is not on a whole minute: minutes are not divided")
    return found


def _step(given: Mapping[str, str], start: datetime, end: datetime) -> timedelta:
    window = given.get("window", "minute")
    if window == "total":
        return end - start
    if window not in WINDOWS:
        raise InvalidParameter("window", f"{window[:40]!r} is not one of {', '.join(WINDOWS)}, total")
    step = WINDOWS[window]
    if (window == "hour" and start.minute) or (window == "day" and (start.hour or start.minute)):
        raise InvalidParameter(
            "from", f"{start.isoformat()} does not begin {'an' if window == 'hour' else 'a'} {window}"
        )
    return step


def _groups(given: Mapping[str, str]) -> tuple[str, ...]:
    names = [name.strip() for name in given.get("group_by", "").split(",")]
    for name in names:
        if name and name not in ENGINE_GROUPS:
            raise InvalidParameter("group_by", f"{name[:40]!r} is not one of {', '.join(ENGINE_GROUPS)}")
    return tuple(name for name in ENGINE_GROUPS if name in names)


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
