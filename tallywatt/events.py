"""A request event: the canonical fields, checked, and its one line of JSON.

The line is written once and sent as it is, however often: so a retry carries the same id, the same time and the same bytes.
"""

import difflib
import json
import os
import time as clock
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from tallywatt import checks
from tallywatt.errors import InvalidEvent

LONGEST_LINE = 256 * 1024


class OptionalFields(TypedDict, total=False):
    """What may be given besides model, tokens, id and time."""

    source: str
    tenant: str
    project: str
    api_key_id: str
    end_user: str
    operation: str
    tier: Literal["standard", "batch", "priority", "flex"]
    status: Literal["ok", "error", "cancelled"]
    finish_reason: str
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    queue_ms: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    region: str
    cluster: str
    node: str
    engine: str
    gpus: Sequence[str]
    stream: bool
    attributes: Mapping[str, str]


def new_id() -> str:
    """A UUID of version 7: ids of a process sort by time, which keeps them cheap to store."""
    milliseconds = clock.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestEvent:
    """One request to a model, as it is metered. Raises InvalidEvent for a value of the wrong type.

    `input_tokens` includes cached reads and cache writes; `output_tokens` includes reasoning. `tenant` is needed only with a key
    that may write for several. `time` is when the request finished: an aware datetime, or milliseconds since 1970.
    """

    id: str = field(default_factory=new_id)
    source: str = ""
    time: datetime | int = field(default_factory=now)
    tenant: str | None = None
    project: str = ""
    api_key_id: str = ""
    end_user: str = ""
    model: str
    operation: str = "chat"
    tier: str = "standard"
    status: str = "ok"
    finish_reason: str = ""
    input_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int
    reasoning_tokens: int = 0
    queue_ms: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None
    region: str = ""
    cluster: str = ""
    node: str = ""
    engine: str = ""
    gpus: Sequence[str] = ()
    stream: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The fields that were given another value than their default."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in found.items() if value != _DEFAULTS[name]}


_CHECKS: dict[str, checks.Check] = {
    "time": checks.time,
    "id": checks.filled_text,
    "model": checks.filled_text,
    "operation": checks.filled_text,
    "tenant": checks.filled_text,
    "tier": checks.one_of(checks.TIERS),
    "status": checks.one_of(checks.STATUSES),
    "gpus": checks.names,
    "stream": checks.flag,
    "attributes": checks.attributes,
}


def _check_of(name: str) -> checks.Check:
    if name.endswith("_tokens"):
        return checks.tokens
    return checks.milliseconds if name.endswith("_ms") else _CHECKS.get(name, checks.text)


NAMES: tuple[str, ...] = tuple(each.name for each in fields(RequestEvent))
REQUIRED: tuple[str, ...] = ("id", "time", "model", "input_tokens", "output_tokens")
_RULES: dict[str, checks.Check] = {name: _check_of(name) for name in NAMES}
# What a field means when it is left out: not worth a byte on disk or on the wire.
_DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(RequestEvent)} | {"attributes": {}}


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they travel. None means: left out. Raises InvalidEvent."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        rule = _RULES.get(name)
        if rule is None:
            raise _unknown(name)
        try:
            accepted = rule(value)
        except ValueError as error:
            raise InvalidEvent(f"{name} {error}") from None
        if accepted != _DEFAULTS[name]:
            found[name] = accepted
    if missing := [name for name in REQUIRED if name not in found]:
        raise InvalidEvent(f"missing: {', '.join(missing)}")
    return found


def line_of(given: Mapping[str, Any]) -> tuple[str, bytes]:
    """The id and the line (without its newline) of an event; a missing id or time is made up here. Raises InvalidEvent."""
    named = dict(given)
    if named.get("id") is None:
        named["id"] = new_id()
    if named.get("time") is None:
        named["time"] = now()
    event = checked(named)
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    if len(line) > LONGEST_LINE:
        raise InvalidEvent(f"the event has {len(line)} bytes, at most {LONGEST_LINE} are taken")
    return event["id"], line


def _unknown(name: str) -> InvalidEvent:
    close = difflib.get_close_matches(name, NAMES, 1)
    hint = f"did you mean {close[0]!r}?" if close else "what is your own belongs in attributes"
    return InvalidEvent(f"there is no field {name!r}: {hint}")
