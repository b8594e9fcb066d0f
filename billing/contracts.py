"""What crosses the border of this package: frozen values only. `billing.public` has the functions.

Times are aware datetimes in UTC, periods half-open `[start, end)`, quantities whole numbers, money Decimal. Amounts that are to be
paid are rounded to the currency's minor unit; `exact` and `cost` amounts are not rounded.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing.credit_contracts import (
    CREDIT_COLUMNS,
    CREDIT_ENTRY_COLUMNS,
    CreditBalance,
    CreditEntryInfo,
    CreditGrantInfo,
    CreditOutlook,
    TopUpInfo,
)
from billing.invoice_contracts import (
    CREDIT_NOTE_COLUMNS,
    INVOICE_COLUMNS,
    CreditNoteInfo,
    DraftInfo,
    Forecast,
    InvoiceDetail,
    InvoiceEventInfo,
    InvoiceLineInfo,
    InvoiceSummary,
    InvoiceTaxInfo,
    PaymentInfo,
    UsageTotals,
)

# What is defined in other modules and named here.
__all__ = [
    "CREDIT_COLUMNS",
    "CREDIT_ENTRY_COLUMNS",
    "CREDIT_NOTE_COLUMNS",
    "INVOICE_COLUMNS",
    "CreditBalance",
    "CreditEntryInfo",
    "CreditGrantInfo",
    "CreditNoteInfo",
    "CreditOutlook",
    "DraftInfo",
    "Forecast",
    "InvoiceDetail",
    "InvoiceEventInfo",
    "InvoiceLineInfo",
    "InvoiceSummary",
    "InvoiceTaxInfo",
    "PaymentInfo",
    "TopUpInfo",
    "UsageTotals",
]


@dataclass(frozen=True)
class Period:
    """`[start, end)`, between midnights of the contract's time zone; without a contract UTC's."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


@dataclass(frozen=True)
class CostRow:
    """Usage of one window and combination of groups, with its cost at the prices in force when it was used.

    `tenant` is '' unless it was asked for; `groups` holds the other dimensions in the order asked for. `cost` is None where
    `unpriced_tokens` is not 0: some of the usage has no price in `currency`, and a part of a cost would pass for all of it. That part is
    `priced_cost`; `unpriced_kinds` are the kinds of tokens without a price.
    """

    window_start: datetime
    tenant: str
    groups: dict[str, str | int]
    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal | None
    currency: str
    unpriced_tokens: int
    priced_cost: Decimal = Decimal(0)
    unpriced_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class UnpricedUsage:
    """Tokens of a kind that no price of the tenant's currency matches. They keep the period from being closed."""

    model: str
    tier: str
    kind: str
    start: datetime
    quantity: int


@dataclass(frozen=True)
class ModelCost:
    """`cost` of one model so far, unrounded, of what has a price."""

    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True)
class CostToDate:
    """What a tenant's period costs so far. `amount` is unrounded and leaves `unpriced` out; invoices round once per line."""

    tenant: str
    period: Period
    currency: str
    amount: Decimal
    as_of: datetime
    by_model: tuple[ModelCost, ...]
    unpriced: tuple[UnpricedUsage, ...]


class MarginGap(StrEnum):
    """Why a margin is not stated. What is not known is never taken for zero."""

    UNPRICED_USAGE = "unpriced_usage"  # tokens without a price in the tenant's currency
    UNPRICED_ENERGY = "unpriced_energy"  # energy in a region and hour without a price per kWh
    UNPRICED_GPU_TIME = "unpriced_gpu_time"  # GPUs without a cost per hour
    NOT_MEASURED = "not_measured"  # of more than one request in a hundred the energy is not known
    OPEN = "open"  # energy of the window is not settled yet
    CURRENCIES_DIFFER = "currencies_differ"  # the parts are in more than one currency, and none is converted


@dataclass(frozen=True)
class MarginAmounts:
    """The three parts in one currency, exact. None: a part of it is not known. Costs are positive."""

    currency: str
    revenue: Decimal | None
    energy_cost: Decimal | None
    gpu_cost: Decimal | None


@dataclass(frozen=True)
class MarginRow:
    """Revenue less energy and GPU time of one window, tenant and model.

    A row with a `label` is cost that is nobody's: `idle`, or unattributed by its cause; `tenant` is '' then, and revenue 0. '' also stands
    where tenant or model was not asked for. `amounts`: one per currency; `margin` is in that of the only one, None if `gaps` says
    why. `margin_share` is margin over revenue, to six digits, None without revenue. `measured_requests`: those of `requests` whose
    energy is known, so a smaller number means costs that are too low.
    """

    window_start: datetime
    tenant: str
    model: str
    label: str
    requests: int
    measured_requests: int
    unpriced_tokens: int
    energy_j: float
    gpu_s: float
    amounts: tuple[MarginAmounts, ...]
    margin: Decimal | None
    margin_share: Decimal | None
    gaps: tuple[MarginGap, ...]
    simulated: bool


@dataclass(frozen=True)
class MarginReport:
    """The rows of `[start, end)`, and all of them together. Energy is settled up to `closed_until` (None: none is yet)."""

    start: datetime
    end: datetime
    closed_until: datetime | None
    rows: tuple[MarginRow, ...]
    total: MarginRow
