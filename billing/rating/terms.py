"""What was agreed with a customer, as rating sees it: frozen values without a database behind them.

A contract's revisions make `Terms` for stretches of a period; `billing/agreements.py` reads them.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing.rating.exact import ZERO


class AppliesTo(StrEnum):
    USAGE = "usage"
    FEES = "fees"
    ALL = "all"


class Measure(StrEnum):
    TTFT_P95_MS = "ttft_p95_ms"
    TPOT_P95_MS = "tpot_p95_ms"
    AVAILABILITY = "availability"


@dataclass(frozen=True)
class FlatFee:
    """For a whole period; a stretch costs its share of the period's days."""

    code: str
    description: str
    amount: Decimal


@dataclass(frozen=True)
class PercentageFee:
    """`rate` of what usage cost before discounts, at least `minimum` for a whole period."""

    code: str
    description: str
    rate: Decimal
    minimum: Decimal = ZERO


@dataclass(frozen=True)
class Allowance:
    """Usage included in a whole period. `model` '*' and `tier` '': any."""

    code: str
    model: str
    kind: str
    tier: str
    quantity: Decimal


@dataclass(frozen=True)
class Discount:
    """Off what those before it have left: `share` of it, or `amount` for a whole period. One of the two is None."""

    code: str
    description: str
    applies_to: AppliesTo
    model: str = "*"
    share: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True)
class Objective:
    """A promised level of service. `threshold`: ms not to exceed, or the share of requests without an error not to fall below."""

    code: str
    measure: Measure
    model: str
    threshold: Decimal
    credit_share: Decimal
    least_requests: int = 100


@dataclass(frozen=True)
class Terms:
    """What holds in a stretch. `active` False: paused, so no fees, allowances, commitment or discounts of fixed amount; usage is billed."""

    plan: str = ""
    active: bool = True
    price_book: str = ""
    flat_fees: tuple[FlatFee, ...] = ()
    percentage_fees: tuple[PercentageFee, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    discounts: tuple[Discount, ...] = ()
    commitment: Decimal = ZERO
    objectives: tuple[Objective, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """`[start, end)` within one period under the same terms. `days`: local calendar days, of the `Agreement`'s `period_days`."""

    start: datetime
    end: datetime
    days: int
    terms: Terms


@dataclass(frozen=True)
class Agreement:
    """All stretches of one billing period, in order. `period_days`: days of the whole period from anchor to anchor, of which a first or
    last one may hold only a part. Without a contract: one stretch of empty `Terms`.
    """

    stretches: tuple[Stretch, ...]
    period_days: int
    contract: str = ""
    revision: int = 0


@dataclass(frozen=True)
class TaxTreatment:
    """`category`: UNCL5305, as EN 16931 takes it (S, Z, E, AE, G, O). `note`: why there is none, as printed. `rate`: 0.19 for 19 %."""

    rate: Decimal = ZERO
    category: str = "O"
    name: str = "Tax"
    note: str = ""


def without_contract(start: datetime, end: datetime) -> Agreement:
    """What holds for a tenant without a contract: list prices and nothing else."""
    days = max((end - start).days, 1)
    return Agreement((Stretch(start, end, days, Terms()),), days)
