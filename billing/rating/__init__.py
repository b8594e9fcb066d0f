"""Rating: pure functions from usage, prices and what was agreed to lines. No Django, no database, no clock.

The same usage, price sheet, agreement and version of these rules give the same lines for ever: `rater(version)` keeps every version that
an invoice was ever made with.
"""

from collections.abc import Callable

from billing.rating.adjusting import adjustments, corrected_type
from billing.rating.allocation import allocate
from billing.rating.burn import Burn, Cell, GrantLeft, burn
from billing.rating.costs import Part, costed, parts
from billing.rating.exact import plain
from billing.rating.explaining import Asked, Candidate, Explanation, Outcome, explain
from billing.rating.kinds import ALIASES, Kind, Tokens, kind_named, partition
from billing.rating.lines import NOT_BILLED, Line, LineType, MeterUsage, Usage
from billing.rating.prices import (
    ANY_MODEL,
    ANY_TIER,
    BEGINNING,
    LIST,
    METER,
    REQUEST,
    ChargeModel,
    PriceRule,
    PriceSheet,
)
from billing.rating.rounding import UnknownCurrency, minor_digits, minor_unit, rounded
from billing.rating.statements import statement, unpriced
from billing.rating.tax import Tax, taxes
from billing.rating.tax_rates import STANDARD_RATES, CountryRate, standard_rate
from billing.rating.tax_treatment import is_vat_id, tax_treatment
from billing.rating.terms import Agreement, Stretch, TaxTreatment, Terms, without_contract
from billing.rating.tiers import Tier, tier_problems, tiers_of, volume_drops
from billing.rating.version_one import statement_of_version_one

RATING_VERSION = 2
Rater = Callable[..., tuple[Line, ...]]
_RATERS: dict[int, Rater] = {1: statement_of_version_one, 2: statement}


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
    "LIST",
    "METER",
    "NOT_BILLED",
    "RATING_VERSION",
    "REQUEST",
    "STANDARD_RATES",
    "Agreement",
    "Asked",
    "Burn",
    "Candidate",
    "Cell",
    "ChargeModel",
    "CountryRate",
    "Explanation",
    "GrantLeft",
    "Kind",
    "Line",
    "LineType",
    "MeterUsage",
    "Outcome",
    "Part",
    "PriceRule",
    "PriceSheet",
    "Rater",
    "Stretch",
    "Tax",
    "TaxTreatment",
    "Terms",
    "Tier",
    "Tokens",
    "UnknownCurrency",
    "Usage",
    "adjustments",
    "allocate",
    "burn",
    "corrected_type",
    "costed",
    "explain",
    "is_vat_id",
    "kind_named",
    "minor_digits",
    "minor_unit",
    "partition",
    "parts",
    "plain",
    "rater",
    "rounded",
    "standard_rate",
    "statement",
    "tax_treatment",
    "taxes",
    "tier_problems",
    "tiers_of",
    "unpriced",
    "volume_drops",
    "without_contract",
]
