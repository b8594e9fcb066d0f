"""Version 1 of the rules, which invoices made before contracts name: per-unit prices alone, at the same amounts as ever.

Its lines began and ended with the first and last usage on them, as that was cut where any price changed; the keys of those invoices say so.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing.rating.costs import costed
from billing.rating.exact import ZERO
from billing.rating.keys import line_key, parts_of, stamp
from billing.rating.lines import Line, MeterUsage, Usage
from billing.rating.prices import PriceSheet
from billing.rating.statements import statement
from billing.rating.terms import Agreement


def statement_of_version_one(  # noqa: PLR0917 - as `statement`
    usages: Sequence[Usage],
    meters: Sequence[MeterUsage],
    agreement: Agreement,
    sheet: PriceSheet,
    period_start: datetime,
    period_end: datetime,
    *,
    tax_rate: Decimal = ZERO,
) -> tuple[Line, ...]:
    """As `statement`, with lines that begin and end with their usage, which must be cut where a price of the sheet changes."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for usage, parts in zip(usages, costed(usages, (), agreement, sheet, period_start, period_end), strict=True):
        for key in {part.line_key for part in parts}:
            start, end = spans.get(key, (usage.start, usage.end))
            spans[key] = (min(start, usage.start), max(end, usage.end))
    lines = statement(usages, meters, agreement, sheet, period_start, period_end, tax_rate=tax_rate)
    return tuple(_spanning(line, *spans[line.key]) if line.key in spans else line for line in lines)


def _spanning(line: Line, start: datetime, end: datetime) -> Line:
    *what, _ = parts_of(line.key)
    return replace(line, key=line_key(*what, stamp(start)), start=start, end=end)
