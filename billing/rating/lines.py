"""Usage that goes into rating, and lines that come out."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from billing.rating import exact
from billing.rating.kinds import Tokens

NOT_BILLED = frozenset({"error"})  # metered and shown; a cancelled stream's delivered tokens are billed


class LineType(StrEnum):
    """In the order in which lines stand on an invoice."""

    USAGE = "usage"
    FLAT_FEE = "flat_fee"
    PERCENTAGE_FEE = "percentage_fee"
    DISCOUNT = "discount"
    COMMITMENT = "commitment"  # the true-up to what was committed
    SERVICE_CREDIT = "service_credit"
    ADJUSTMENT = "adjustment"  # of an earlier period
    CREDIT = "credit"  # promotional credit, before tax
    TOP_UP = "top_up"  # credit that is bought


@dataclass(frozen=True)
class Usage:
    """Requests of one model, tier, operation, region, context band and status in `[start, end)`. No price changes inside it.

    A dimension that no price of the sheet asks for is '' (0): see `PriceSheet.dimensions`. `context_band`: upper edge, as metering has it.
    """

    start: datetime
    end: datetime
    model: str
    tier: str
    status: str
    requests: int
    tokens: Tokens
    operation: str = ""
    region: str = ""
    context_band: int = 0


@dataclass(frozen=True)
class MeterUsage:
    """What a meter measured in `[start, end)`, by its groups `model`, `tier` and `region` where it has such. `events`: how many."""

    start: datetime
    end: datetime
    meter: str
    quantity: Decimal
    events: int = 0
    model: str = ""
    tier: str = ""
    region: str = ""

    # What a meter does not know, and so matches only a price for any.
    operation: ClassVar[str] = ""
    context_band: ClassVar[int] = 0


@dataclass(frozen=True)
class Line:
    """One line. `amount` is what is charged, `residual` what rounding left out: amount_exact = amount + residual.

    `key` names it within its period whatever the amounts, so that two ratings of a period can be compared line by line. `included` is the
    part of `quantity` that an allowance covered. `unit_amount` for every `per` units is None where no single amount says it. What is
    not billed (failed requests) has amounts of zero; where there is no price, they are None and the invoice is blocked.
    """

    type: LineType
    key: str
    start: datetime
    end: datetime
    explanation: str
    amount_exact: Decimal | None
    amount: Decimal | None
    quantity: Decimal = exact.ZERO
    included: Decimal = exact.ZERO
    unit: str = "tokens"
    billed: bool = True
    model: str = ""
    tier: str = ""
    operation: str = ""
    region: str = ""
    context_over: int = 0
    kind: str = ""
    charge_model: str = ""
    unit_amount: Decimal | None = None
    per: int = 1_000_000
    tax_rate: Decimal = exact.ZERO
    detail: dict[str, Any] = field(default_factory=dict)
    origin: str = ""  # the number of the invoice that an adjustment corrects

    @property
    def residual(self) -> Decimal | None:
        if self.amount is None or self.amount_exact is None:
            return None
        return exact.minus(self.amount_exact, self.amount)

    @property
    def unpriced(self) -> bool:
        return self.billed and self.amount is None
