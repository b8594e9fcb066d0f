"""Checking one event of a meter: its envelope by the rules of fields.py, its data by the meters that read its type.

Every active meter of the type must be able to read the event: what one of them could not add up would be usage that nobody bills.
"""

import math
import re
from decimal import Context, Decimal
from typing import Any

import orjson

from metering import meters
from metering.contracts import RejectReason
from metering.ingest.fields import FIELDS, REQUIRED, FieldError
from metering.meter_paths import value_at
from metering.meters import Aggregation, MeterInfo

ENVELOPE = ("id", "source", "time", "tenant")
LONGEST_TYPE = 128
LONGEST_DATA = 64 * 1024  # as JSON, in bytes
LONGEST_LABEL = 1024
MOST_DECIMALS = 9  # values are Decimal(38, 9)
FINEST = Decimal(10) ** -MOST_DECIMALS
LARGEST = Decimal(10) ** 29
WIDE = Context(prec=200)  # more than any number here has
# Beyond it a JSON number that is no plain integer may stand for several whole numbers.
EXACT_FLOATS_BELOW = 2.0**53
DECIMAL_TEXT = re.compile(r"\A-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?\Z")


class MeterRefused(ValueError):
    """Why an event of a meter was not taken; `field` is a path such as `data.gpu_hours`."""

    def __init__(self, field: str, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


def row(event: dict[str, Any]) -> dict[str, Any]:
    """The columns of METER_EVENTS, less the stamped ones, `time_given` and `observed`. Raises MeterRefused.

    `event` holds `type`, `id`, `source`, `data` and perhaps `time` and `tenant`; where these are None, the caller fills them in.
    """
    found = {name: _envelope(name, event.get(name)) for name in ENVELOPE}
    kind, readers = _type(event.get("type"))
    data = event.get("data")
    if not isinstance(data, dict):
        raise MeterRefused("data", RejectReason.WRONG_TYPE, f"data must be an object, got {_kind(data)}")
    for meter in readers:
        _check(meter, data)
    return found | {"type": kind, "data": _text_of(data)}


def _envelope(name: str, value: Any) -> Any:
    rule, default = FIELDS[name]
    if value is None:
        if default is REQUIRED:
            raise MeterRefused(name, RejectReason.MISSING_FIELD, f"{name} is required")
        return default
    try:
        return rule(value)
    except FieldError as error:
        raise MeterRefused(name, error.reason, f"{name} {error.message}") from None


def _type(value: Any) -> tuple[str, tuple[MeterInfo, ...]]:
    """The event's type, and the meters that read it: at least one."""
    if not isinstance(value, str) or len(value) > LONGEST_TYPE:
        message = f"type must be text of at most {LONGEST_TYPE} characters"
        raise MeterRefused("type", RejectReason.WRONG_TYPE, message)
    readers = meters.reading(value)
    if not readers:
        raise MeterRefused("type", RejectReason.UNKNOWN_TYPE, f"no meter takes events of type {value[:64]!r}")
    return value, readers


def _check(meter: MeterInfo, data: dict[str, Any]) -> None:
    if meter.value_path:
        field = _field(meter.value_path)
        value = value_at(data, meter.value_names)
        if value is None:
            raise MeterRefused(field, RejectReason.MISSING_FIELD, f"{field} is required by the meter {meter.slug}")
        if meter.aggregation is Aggregation.UNIQUE_COUNT:
            _check_label(field, value)
        else:
            _check_number(field, value, meter)
    for key, path in meter.group_names.items():
        _check_label(_field(meter.group_by[key]), value_at(data, path))


def _check_number(field: str, value: Any, meter: MeterInfo) -> None:
    number = _decimal(field, value)
    if number.copy_abs() >= LARGEST:  # abs() would round to 28 digits first
        raise MeterRefused(field, RejectReason.OUT_OF_RANGE, f"{field} has more than 29 digits before the point")
    if number.normalize(WIDE) != number.quantize(FINEST, context=WIDE):
        message = (
            f"{field} is {value}: at most {MOST_DECIMALS} decimals are kept exactly, round it where it is measured"
        )
        raise MeterRefused(field, RejectReason.OUT_OF_RANGE, message)
    if meter.aggregation is Aggregation.SUM and number < 0:
        message = f"{field} is {value}: usage that the meter {meter.slug} sums up cannot be negative"
        raise MeterRefused(field, RejectReason.OUT_OF_RANGE, message)


def _decimal(field: str, value: Any) -> Decimal:
    """Exactly what was sent: of a JSON number with a fraction the shortest text that stands for it, which is what senders print."""
    if isinstance(value, str):
        if not DECIMAL_TEXT.match(value):
            raise MeterRefused(field, RejectReason.WRONG_TYPE, f"{field} is {value[:40]!r}, expected a decimal number")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MeterRefused(field, RejectReason.WRONG_TYPE, f"{field} is {_kind(value)}, expected a number")
    if isinstance(value, int):
        return Decimal(value)
    if not math.isfinite(value):
        raise MeterRefused(field, RejectReason.OUT_OF_RANGE, f"{field} is not finite")
    if abs(value) >= EXACT_FLOATS_BELOW:
        message = f"{field} is too large to be exact as a JSON number: send it as text"
        raise MeterRefused(field, RejectReason.OUT_OF_RANGE, message)
    return Decimal(repr(value))


def _check_label(field: str, value: Any) -> None:
    """A value to group by, or to count the different ones of: text, a number, true or false; a missing one is ''."""
    if value is not None and not isinstance(value, str | int | float):
        raise MeterRefused(
            field, RejectReason.WRONG_TYPE, f"{field} is {_kind(value)}, expected text, a number or a flag"
        )
    if isinstance(value, str) and len(value) > LONGEST_LABEL:
        message = f"{field} has {len(value)} characters, at most {LONGEST_LABEL} are taken"
        raise MeterRefused(field, RejectReason.TOO_LONG, message)


def _text_of(data: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(data)
    except (
        TypeError,
        ValueError,
    ):  # orjson's own error is a TypeError; lone surrogates and too deep a nesting end here
        raise MeterRefused("data", RejectReason.MALFORMED, "data cannot be written as JSON again") from None
    if len(text) > LONGEST_DATA:
        message = f"data has {len(text)} bytes as JSON, at most {LONGEST_DATA} are taken"
        raise MeterRefused("data", RejectReason.TOO_LONG, message)
    return text.decode()


def _field(path: str) -> str:
    return "data" + path.removeprefix("$")


def _kind(value: Any) -> str:
    """The JSON name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")
