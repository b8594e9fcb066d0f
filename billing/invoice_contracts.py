"""Invoices as they cross the border of this package, where `billing.contracts` names them. Amounts are rounded unless called exact."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

# An invoice as a row of the finance API and of every CSV. New ones are added at the end.
INVOICE_COLUMNS = (
    "number",
    "tenant",
    "period_start",
    "period_end",
    "currency",
    "subtotal",
    "tax",
    "total",
    "status",
    "as_of",
    "kind",
    "issued_on",
    "due_on",
    "credits_applied",
    "amount_due",
    "paid",
    "credited",
    "outstanding",
)
CREDIT_NOTE_COLUMNS = (
    "number",
    "invoice",
    "tenant",
    "currency",
    "issued_on",
    "subtotal",
    "tax",
    "total",
    "disposition",
    "reason",
)


@dataclass(frozen=True)
class UsageTotals:
    """Sums over a period. Tokens as metered: cached and cache_write within input, reasoning within output."""

    requests: int = 0
    requests_not_billed: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class InvoiceSummary:
    """`as_of`: what had arrived before this moment is billed. `status`: open, paid, past_due, void, uncollectible.

    `credits_applied` is prepaid credit (below zero: the total, carried over), so `amount_due` = `total` - `credits_applied`; of it
    `paid` came, `credited` was taken back by credit notes, and `outstanding` is left: 0 for what is void.
    """

    number: str
    tenant: str
    period_start: datetime
    period_end: datetime
    currency: str
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    status: str
    as_of: datetime
    finalised_at: datetime | None
    kind: str
    time_zone: str
    issued_on: date
    due_on: date
    credits_applied: Decimal
    amount_due: Decimal
    paid: Decimal
    credited: Decimal
    outstanding: Decimal


@dataclass(frozen=True)
class InvoiceLineInfo:
    """`amount_exact` = `amount` + `residual`. `unit_amount`, for every `per` units, is None where no single amount says it (tiers, fees),
    and where `billed` is False (requests that failed). `included`: the part of `quantity` that an allowance covered. `adjusts`: the number
    of the invoice whose late usage an adjustment bills.
    """

    position: int
    type: str
    model: str
    tier: str
    operation: str
    region: str
    context_over: int
    kind: str
    start: datetime
    end: datetime
    quantity: Decimal
    included: Decimal
    unit: str
    billed: bool
    charge_model: str
    unit_amount: Decimal | None
    per: int
    amount_exact: Decimal
    amount: Decimal
    residual: Decimal
    tax_rate: Decimal
    explanation: str
    adjusts: str = ""
    detail: dict[str, Any] | None = None

    @property
    def per_million(self) -> Decimal | None:
        """The price of a million tokens, where it is one."""
        return self.unit_amount if self.per == 1_000_000 else None


@dataclass(frozen=True)
class InvoiceTaxInfo:
    """`rate` is a fraction: 0.19 for 19 %."""

    rate: Decimal
    base: Decimal
    amount: Decimal


@dataclass(frozen=True)
class PaymentInfo:
    """`refunded`: what of it went back."""

    reference: str
    method: str
    amount: Decimal
    received_at: datetime
    refunded: Decimal


@dataclass(frozen=True)
class CreditNoteInfo:
    """`disposition`: reduce (less is due), refund (money went back) or credit (prepaid credit grew)."""

    number: str
    invoice: str
    tenant: str
    currency: str
    issued_on: date
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    disposition: str
    reason: str


@dataclass(frozen=True)
class InvoiceEventInfo:
    """A line of an invoice's history."""

    at: datetime
    type: str
    actor: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class InvoiceDetail:
    """An invoice with everything that reproduces it, and what became of it. `replaces`, `replaced_by`: numbers, '' none."""

    summary: InvoiceSummary
    usage: UsageTotals
    lines: tuple[InvoiceLineInfo, ...]
    taxes: tuple[InvoiceTaxInfo, ...]
    seal: int
    price_versions: dict[str, int]
    rating_version: int
    contract: str
    contract_revision: int
    usage_root: str
    usage_leaves: int
    seller: dict[str, Any]
    buyer: dict[str, Any]
    tax_category: str
    tax_note: str
    replaces: str
    replaced_by: str
    payments: tuple[PaymentInfo, ...]
    credit_notes: tuple[CreditNoteInfo, ...]
    events: tuple[InvoiceEventInfo, ...]


@dataclass(frozen=True)
class DraftInfo:
    """What an invoice of the period would say at this moment, unsealed usage included; nothing of it is stored.

    `lines` have positions like an invoice's. `credits`: prepaid credit that would pay for it. `unpriced` lines are left out of all sums.
    `forecast`: the same at the period's end; see `Forecast.method`. It is None where too little is known.
    """

    tenant: str
    currency: str
    period_start: datetime
    period_end: datetime
    time_zone: str
    contract: str
    as_of: datetime
    usage: UsageTotals
    lines: tuple[InvoiceLineInfo, ...]
    taxes: tuple[InvoiceTaxInfo, ...]
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    credits: Decimal
    amount_due: Decimal
    problems: tuple[str, ...]
    forecast: "Forecast | None"


@dataclass(frozen=True)
class Forecast:
    """`total` expected for the period, tax included, before credit. `low` and `high`: as if every day left were like the cheapest and the
    dearest of the days that it was made from, which is no interval with a probability. `method` says in words how it was made."""

    subtotal: Decimal
    total: Decimal
    low: Decimal
    high: Decimal
    days_observed: int
    days_left: Decimal
    method: str
