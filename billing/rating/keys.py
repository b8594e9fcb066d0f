"""Names of lines within their period. They are stored on invoices, so how they are written never changes."""

import json
from datetime import UTC, datetime


def line_key(*parts: str | int) -> str:
    """Compact JSON; the first part is the type of the line."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def parts_of(key: str) -> list[str | int]:
    return list(json.loads(key))


def stamp(moment: datetime) -> str:
    """`20261016T0000Z`: to the minute, for prices and agreements change on quarters of an hour."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%MZ}"
