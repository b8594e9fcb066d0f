"""Price books as files: CSV with a header, or JSON, a list of objects with the same names. Read strictly; nothing unknown is ignored.

`tiers` in CSV is JSON text. A number is read with every digit that it was written with, never as a binary fraction.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing import rating
from billing.pricebook.rows import PriceRefused, PriceRow

COLUMNS = tuple(one.name for one in fields(PriceRow))
REQUIRED = ("model", "kind", "currency")
WHOLE = ("context_over", "per")
MOST_BYTES = 20 * 2**20
MOST_ROWS = 100_000


def read(text: str) -> list[PriceRow]:
    """The rows of a file. Raises PriceRefused that names the row and the column."""
    if len(text) > MOST_BYTES:
        raise PriceRefused(f"a file of prices has at most {MOST_BYTES // 2**20} MB")
    begins = text.lstrip("\N{ZERO WIDTH NO-BREAK SPACE} \t\r\n")[:1]
    found = _from_json(text) if begins in {"[", "{"} else _from_csv(text)
    rows = [_row(one, place) for place, one in enumerate(found, start=1)]
    if not rows:
        raise PriceRefused("the file has no price")
    if len(rows) > MOST_ROWS:
        raise PriceRefused(f"a file of prices has at most {MOST_ROWS:,} rows")
    return rows


def as_csv(rows: Iterable[PriceRow]) -> str:
    """What `read` reads back as the same rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    return text.getvalue()


def moment(text: str) -> datetime:
    """A date is its midnight in UTC; a time needs its offset. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a date such as 2026-10-01 nor an RFC 3339 time") from None
    if found.tzinfo is None and len(text) > len("2026-10-01"):
        raise ValueError(f"{text!r} has no offset: write e.g. 2026-10-01T06:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _from_json(text: str) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(text.lstrip("\N{ZERO WIDTH NO-BREAK SPACE}"), parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PriceRefused(f"this is no JSON: {error}") from None
    if isinstance(found, dict) and set(found) == {"prices"}:
        found = found["prices"]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PriceRefused("JSON of prices is a list of objects")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _from_csv(text: str) -> list[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), newline=""), strict=True)
    try:
        found = list(reader)
    except csv.Error as error:
        raise PriceRefused(f"this is no CSV: {error}") from None
    for place, one in enumerate(found, start=1):
        if None in one or None in one.values():
            raise PriceRefused(f"row {place} has not as many cells as the header")
    return [{name: value for name, value in one.items() if value != ""} for one in found]


def _row(cells: Mapping[str, Any], place: int) -> PriceRow:
    for name in cells:
        if name not in COLUMNS:
            raise PriceRefused(f"row {place}: unknown column {name!r}; known: {', '.join(COLUMNS)}")
    for name in REQUIRED:
        if not cells.get(name):
            raise PriceRefused(f"row {place}: no {name}")
    try:
        return PriceRow(**{name: _value(name, value) for name, value in cells.items() if value is not None})
    except (ValueError, ArithmeticError) as error:
        raise PriceRefused(f"row {place}: {error}") from None


def _value(name: str, value: Any) -> Any:
    if name == "tiers":
        return _tiers(value)
    if name in WHOLE:
        return _whole(name, value)
    if name in {"amount", "rate", "fixed"}:
        return _decimal(name, value)
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} is not text")
    return moment(value) if name == "effective_from" else value.strip()


def _whole(name: str, value: Any) -> int:
    text = value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{name}: {value!r} is not a whole number")
    return int(text)


def _decimal(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{name}: {value!r} is not a decimal number")
    try:
        return Decimal(value)
    except ArithmeticError:
        raise ValueError(f"{name}: {value!r} is not a decimal number") from None


def _tiers(value: Any) -> tuple[Mapping[str, Any], ...]:
    found = json.loads(value, parse_float=Decimal, parse_constant=_no_number) if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("tiers: a list of objects with up_to, amount and flat")
    return tuple(found)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return rating.plain(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, tuple):
        return json.dumps([dict(one) for one in value], separators=(",", ":"))
    return str(value)
