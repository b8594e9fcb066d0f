"""What a meter is asked, as OpenMeter's clients write it: in the query of a GET or the body of a POST. Unknown names are refused."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import QueryDict
from django.utils import timezone
from rest_framework import exceptions

from metering import accounts
from metering.api.problems import InvalidParameter
from metering.api.times import moment
from metering.contracts import Credential
from metering.meter_usage import UTC_ZONE, MeterQuery
from metering.meters import SUBJECT
from metering.windows import WindowSize, first_of_month

FILTER = re.compile(r"\AfilterGroupBy\[([^\[\]]+)\]\Z")
KNOWN = ("from", "to", "windowSize", "windowTimeZone", "subject", "groupBy", "filterGroupBy", "clientId")
MOST_VALUES = 100
LONGEST_VALUE = 1024
Texts = Mapping[str, list[str]]


def from_query(parameters: QueryDict, known: Collection[str] = KNOWN) -> tuple[Texts, Texts]:
    """The texts by name, and those of `filterGroupBy[name]` by group."""
    texts: dict[str, list[str]] = {}
    filters: dict[str, list[str]] = {}
    for name, values in parameters.lists():
        if match := FILTER.match(name):
            filters[match.group(1)] = values
        elif name == "filterGroupBy":  # OpenMeter's Python client writes a Python dict here, which nobody can read
            raise InvalidParameter(name, "write filterGroupBy[name]=value, or send the question as JSON by POST")
        elif name in known:
            texts[name] = values
        elif name != "format":
            raise InvalidParameter(name[:80], f"unknown parameter; known: {', '.join(known)}")
    return texts, filters


def from_body(body: Mapping[str, Any]) -> tuple[Texts, Texts]:
    """The same of a JSON body: lists of texts, and `filterGroupBy` as an object of lists."""
    filters = body.get("filterGroupBy") or {}
    if not isinstance(filters, dict):
        raise InvalidParameter("filterGroupBy", "an object of groups and their values is expected")
    texts = {name: _texts(name, value) for name, value in body.items() if name != "filterGroupBy" and value is not None}
    return texts, {group: _texts("filterGroupBy", value) for group, value in filters.items()}


def meter_query(texts: Texts, filters: Texts, credential: Credential) -> MeterQuery:
    """Everything checked that needs no meter. A tenant's key asks about its own subject, named or not."""
    zone = _zone(_single(texts, "windowTimeZone"))
    start, end = span(texts, zone)
    size = _single(texts, "windowSize")
    if size is not None and size not in set(WindowSize):
        raise InvalidParameter("windowSize", f"{size[:40]!r} is not one of {', '.join(WindowSize)}")
    subjects = _subjects(_many(texts, "subject"), credential)
    groups = _many(texts, "groupBy")
    return MeterQuery(
        start=start,
        end=end,
        size=WindowSize(size) if size else None,
        zone=zone,
        subjects=subjects,
        by_subject=subjects is not None or SUBJECT in groups,
        group_by=tuple(name for name in groups if name != SUBJECT),
        filters={group: _filter(group, values) for group, values in filters.items()},
    )


def span(texts: Texts, zone: ZoneInfo = UTC_ZONE) -> tuple[datetime, datetime]:
    """`[from, to)`: without `to` until now, without `from` from the start of the month in which it ends."""
    end = _moment(texts, "to") or timezone.now()
    start = _moment(texts, "from") or first_of_month(zone, end)
    if start >= end:
        raise InvalidParameter("from", f"{start.isoformat()} is not before to, {end.isoformat()}")
    return start, end


def _subjects(named: tuple[str, ...], credential: Credential) -> tuple[str, ...] | None:
    """None: everybody. 403 if a tenant's key names another, 404 if an operator's names one that does not exist."""
    if credential.tenant is not None:
        if set(named) - {credential.tenant}:
            raise exceptions.PermissionDenied("this key reads one subject, and that is not the one named")
        return (credential.tenant,)
    missing = set(named) - accounts.existing(named)
    if missing:
        raise exceptions.NotFound(f"there is no subject {min(missing)[:80]!r}")
    return named or None


def _filter(group: str, values: list[str]) -> tuple[str, ...]:
    if len(values) > MOST_VALUES or any(len(value) > LONGEST_VALUE or "\x00" in value for value in values):
        message = f"at most {MOST_VALUES} values of {LONGEST_VALUE} characters are taken for {group[:80]!r}"
        raise InvalidParameter("filterGroupBy", message)
    return tuple(values)


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name) if name else UTC_ZONE
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidParameter("windowTimeZone", f"{(name or '')[:80]!r} is not an IANA time zone") from None


def _moment(texts: Texts, name: str) -> datetime | None:
    text = _single(texts, name)
    return None if text is None else moment(name, text)


def _single(texts: Texts, name: str) -> str | None:
    values = texts.get(name, [])
    if len(values) > 1:
        raise InvalidParameter(name, "given more than once")
    if values and "\x00" in values[0]:
        raise InvalidParameter(name, "holds a NUL character")
    return values[0] or None if values else None


def _many(texts: Texts, name: str) -> tuple[str, ...]:
    """The parameter repeated, or a list with commas: neither a tenant's key nor a group's name can hold one."""
    found = tuple(dict.fromkeys(part for value in texts.get(name, []) for part in value.split(",") if part))
    if len(found) > MOST_VALUES:
        raise InvalidParameter(name, f"has {len(found)} values, at most {MOST_VALUES} are taken")
    return found


def _texts(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise InvalidParameter(name, "text is expected, or a list of texts")
    return values
