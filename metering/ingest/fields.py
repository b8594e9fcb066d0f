"""The canonical fields of a request event, with the rule of each. One place, for every protocol.

A rule takes a value as JSON gave it and returns what the column holds, or raises FieldError. Nothing is coerced: "5", 5.0 and true
are not token counts.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from metering.contracts import RejectReason

MOST_TOKENS = 2**40
LONGEST_LATENCY_MS = 7 * 24 * 3600 * 1000.0
MOST_GPUS = 1024
MOST_ATTRIBUTES = 32
LONGEST_ATTRIBUTE = 1024
Tier = Literal["standard", "batch", "priority", "flex"]
Status = Literal["ok", "error", "cancelled"]
# What OpenAI-compatible servers, vLLM, SGLang, TGI and Anthropic's API say.
FinishReason = Literal[
    "",
    "stop",
    "length",
    "tool_calls",
    "function_call",
    "content_filter",
    "abort",
    "cancelled",
    "error",
    "timeout",
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "eos_token",
    "refusal",
    "other",
]
TIERS: tuple[str, ...] = get_args(Tier)
STATUSES: tuple[str, ...] = get_args(Status)
FINISH_REASONS: tuple[str, ...] = get_args(FinishReason)
# RFC 3339: date, time and an offset; without the offset a time means nothing here.
RFC3339 = re.compile(r"\A\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z")
TENANT = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")

Rule = Callable[[Any], Any]


@dataclass(frozen=True)
class Limits:
    """What a text may be: its length in characters, or (if not empty) one of `choices`."""

    longest: int = 128
    least: int = 0
    choices: tuple[str, ...] = ()


class FieldError(ValueError):
    """What is wrong with a value: an enumerated reason and a sentence for the sender."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def text(limits: Limits) -> Rule:
    if limits.choices:
        return one_of(limits.choices)

    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise FieldError(RejectReason.WRONG_TYPE, f"expected text, got {kind_of(value)}")
        if len(value) > limits.longest:
            raise FieldError(RejectReason.TOO_LONG, f"has more than {limits.longest} characters")
        if len(value) < limits.least:
            raise FieldError(RejectReason.OUT_OF_RANGE, "must not be empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldError(RejectReason.MALFORMED, "is not valid Unicode") from None
        return value

    return rule


def one_of(choices: tuple[str, ...]) -> Rule:
    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise FieldError(RejectReason.WRONG_TYPE, f"expected text, got {kind_of(value)}")
        if value not in choices:
            raise FieldError(
                RejectReason.OUT_OF_RANGE, f"is {value[:40]!r}, expected one of {', '.join(c for c in choices if c)}"
            )
        return value

    return rule


def tokens(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected a whole number, got {kind_of(value)}")
    if value < 0:
        raise FieldError(RejectReason.OUT_OF_RANGE, f"is {value}, a count cannot be negative")
    if value > MOST_TOKENS:
        raise FieldError(RejectReason.OUT_OF_RANGE, f"is larger than {MOST_TOKENS}")
    return value


def latency_ms(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected milliseconds as a number, got {kind_of(value)}")
    if not 0 <= value <= LONGEST_LATENCY_MS:  # false for NaN too
        raise FieldError(RejectReason.OUT_OF_RANGE, f"is {value}, expected 0 to {LONGEST_LATENCY_MS:.0f} ms")
    return float(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected true or false, got {kind_of(value)}")
    return value


def names(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected a list of texts, got {kind_of(value)}")
    if len(value) > MOST_GPUS:
        raise FieldError(RejectReason.TOO_LONG, f"has {len(value)} items, at most {MOST_GPUS} are taken")
    return [_SHORT(item) for item in value]


def attributes(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected an object of texts, got {kind_of(value)}")
    if len(value) > MOST_ATTRIBUTES:
        raise FieldError(RejectReason.TOO_LONG, f"has {len(value)} keys, at most {MOST_ATTRIBUTES} are taken")
    return [(_SHORT(name), _LONG(item)) for name, item in value.items()]


def tenant(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected text, got {kind_of(value)}")
    if not TENANT.match(value):
        raise FieldError(RejectReason.OUT_OF_RANGE, "expected letters, digits and . _ : - (at most 64)")
    return value


def time(value: Any) -> datetime:
    """RFC 3339 with an offset, or whole milliseconds since the epoch; truncated to the millisecond."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise FieldError(RejectReason.WRONG_TYPE, f"expected RFC 3339 text or epoch milliseconds, got {kind_of(value)}")
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)
        if not RFC3339.match(value):
            raise ValueError(value)
        found = datetime.fromisoformat(value.upper()).astimezone(UTC)
        return found.replace(microsecond=found.microsecond // 1000 * 1000)
    except (ValueError, OverflowError, OSError):
        shown = value[:40] if isinstance(value, str) else value
        raise FieldError(
            RejectReason.MALFORMED, f"is {shown!r}, expected RFC 3339 with an offset, such as 2026-01-31T12:00:00Z"
        ) from None


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, and for a number what it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if math.isfinite(value) else "a number that is not finite"
    kinds: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)


_SHORT = text(Limits())
_LONG = text(Limits(longest=LONGEST_ATTRIBUTE))
TEXTS = {
    "id": Limits(least=1),
    "source": Limits(),
    "project": Limits(),
    "api_key_id": Limits(),
    "end_user": Limits(longest=256),
    "model": Limits(least=1),
    "operation": Limits(longest=64, least=1),
    "tier": Limits(choices=TIERS),
    "status": Limits(choices=STATUSES),
    "finish_reason": Limits(choices=FINISH_REASONS),
    "region": Limits(),
    "cluster": Limits(),
    "node": Limits(),
    "engine": Limits(),
}

# name -> (rule, what a missing or null field means; REQUIRED if it must be there)
REQUIRED = object()
FIELDS: dict[str, tuple[Rule, Any]] = {
    "id": (text(TEXTS["id"]), REQUIRED),
    "source": (text(TEXTS["source"]), ""),
    "time": (time, None),
    "tenant": (tenant, None),
    "project": (text(TEXTS["project"]), ""),
    "api_key_id": (text(TEXTS["api_key_id"]), ""),
    "end_user": (text(TEXTS["end_user"]), ""),
    "model": (text(TEXTS["model"]), REQUIRED),
    "operation": (text(TEXTS["operation"]), "chat"),
    "tier": (text(TEXTS["tier"]), "standard"),
    "status": (text(TEXTS["status"]), "ok"),
    "finish_reason": (text(TEXTS["finish_reason"]), ""),
    "input_tokens": (tokens, REQUIRED),
    "cached_input_tokens": (tokens, 0),
    "cache_write_tokens": (tokens, 0),
    "output_tokens": (tokens, REQUIRED),
    "reasoning_tokens": (tokens, 0),
    "queue_ms": (latency_ms, None),
    "ttft_ms": (latency_ms, None),
    "tpot_ms": (latency_ms, None),
    "e2e_ms": (latency_ms, None),
    "region": (text(TEXTS["region"]), ""),
    "cluster": (text(TEXTS["cluster"]), ""),
    "node": (text(TEXTS["node"]), ""),
    "engine": (text(TEXTS["engine"]), ""),
    "gpus": (names, []),
    "stream": (flag, False),
    "attributes": (attributes, []),
}
