"""Short ways to write prices, usage and terms in tests of rating."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing import rating

START = datetime(2026, 10, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 10, 16, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def price(kind: str, amount: str | None = None, **other: Any) -> rating.PriceRule:
    fields: dict[str, Any] = {
        "model": "m",
        "tier": "",
        "currency": "USD",
        "effective_from": rating.BEGINNING,
        "version": 1,
    }
    return rating.PriceRule(kind=kind, amount=None if amount is None else Decimal(amount), **(fields | other))


def tiers(*rows: tuple[int | None, str] | tuple[int | None, str, str]) -> tuple[rating.Tier, ...]:
    """(up to, amount) or (up to, amount, flat)."""
    return tuple(rating.Tier(None if row[0] is None else Decimal(row[0]), *map(Decimal, row[1:])) for row in rows)


def sheet(*rules: rating.PriceRule, version: int = 99, currency: str = "USD") -> rating.PriceSheet:
    books = {rating.LIST, *(rule.book for rule in rules)}
    return rating.PriceSheet(rules, versions=dict.fromkeys(books, version), currency=currency)


def used(tokens: tuple[int, int, int, int, int], **other: Any) -> rating.Usage:
    """`tokens`: input, cached, cache writes, output, reasoning."""
    fields = {"start": START, "end": END, "model": "m", "tier": "standard", "status": "ok", "requests": 1} | other
    return rating.Usage(tokens=rating.Tokens(*tokens), **fields)


def metered(quantity: str, **other: Any) -> rating.MeterUsage:
    return rating.MeterUsage(
        **({"start": START, "end": END, "meter": "gpu_hours", "quantity": Decimal(quantity)} | other)
    )


def agreed(*stretches: tuple[int, rating.Terms], period_days: int = 31) -> rating.Agreement:
    """One stretch after the other from START on, each of so many days."""
    found, since = [], START
    for days, terms in stretches:
        until = since + days * DAY
        found.append(rating.Stretch(since, until, days, terms))
        since = until
    return rating.Agreement(tuple(found), period_days)


def rate(
    usages: Iterable[rating.Usage],
    book: rating.PriceSheet,
    agreement: rating.Agreement | None = None,
    meters: Iterable[rating.MeterUsage] = (),
) -> tuple[rating.Line, ...]:
    """The lines of October 2026; without a contract if there is no agreement."""
    return rating.statement(usages, meters, agreement or rating.without_contract(START, END), book, START, END)
