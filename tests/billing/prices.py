"""Short ways to write prices and usage in tests of rating."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing import rating

START = datetime(2026, 10, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 10, 16, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)


def price(kind: str, per_million: str, **other: Any) -> rating.UnitPrice:
    fields = {"model": "m", "tier": "", "currency": "USD", "effective_from": rating.BEGINNING, "version": 1} | other
    return rating.UnitPrice(kind=rating.Kind(kind), per_million=Decimal(per_million), **fields)


def sheet(*prices: rating.UnitPrice, version: int = 99, currency: str = "USD") -> rating.PriceSheet:
    return rating.PriceSheet(prices, version=version, currency=currency)


def used(tokens: tuple[int, int, int, int, int], **other: Any) -> rating.Usage:
    """`tokens`: input, cached, cache writes, output, reasoning."""
    fields = {"start": START, "end": END, "model": "m", "tier": "standard", "status": "ok", "requests": 1} | other
    return rating.Usage(tokens=rating.Tokens(*tokens), **fields)
