"""Rating: pure functions from usage and prices to lines. No Django, no database, no clock.

The same usage, price sheet and version of these rules give the same lines for ever: `rater(version)` keeps every version that
an invoice was ever made with.
"""

from collections.abc import Callable, Iterable

from billing.rating.exact import plain
from billing.rating.kinds import ALIASES, Kind, Tokens, kind_named, partition
from billing.rating.lines import NOT_BILLED, Line, Part, Usage, parts, rate
from billing.rating.prices import ANY_MODEL, ANY_TIER, BEGINNING, PriceSheet, UnitPrice
from billing.rating.rounding import UnknownCurrency, minor_digits, rounded
from billing.rating.tax import Tax, taxes

RATING_VERSION = 1
Rater = Callable[[Iterable[Usage], PriceSheet], tuple[Line, ...]]
_RATERS: dict[int, Rater] = {1: rate}


def rater(version: int) -> Rater:
    """Raises ValueError for a version that this installation does not have."""
    if version not in _RATERS:
        raise ValueError(f"rating version {version} is not known here; known: {sorted(_RATERS)}")
    return _RATERS[version]


__all__ = [
    "ALIASES",
    "ANY_MODEL",
    "ANY_TIER",
    "BEGINNING",
    "NOT_BILLED",
    "RATING_VERSION",
    "Kind",
    "Line",
    "Part",
    "PriceSheet",
    "Rater",
    "Tax",
    "Tokens",
    "UnitPrice",
    "UnknownCurrency",
    "Usage",
    "kind_named",
    "minor_digits",
    "partition",
    "parts",
    "plain",
    "rate",
    "rater",
    "rounded",
    "taxes",
]
