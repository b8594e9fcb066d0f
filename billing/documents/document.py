"""An invoice or a credit note as it is printed: frozen values, read once, from which PDF and XML are both made.

Money has the currency's own number of digits. Times are aware; days are local to the contract's time zone.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from billing.rating.lines import LineType


class Kind(StrEnum):
    INVOICE = "invoice"
    TOP_UP = "top_up"  # credit that is bought
    CREDIT_NOTE = "credit_note"


class NoSuchDocument(LookupError):
    """No final invoice or credit note of this number, or another tenant's."""


class NoElectronicInvoice(ValueError):
    """It cannot be an EN 16931 invoice. `reasons` says what is missing, in words."""

    def __init__(self, number: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{number} has no electronic invoice: {'; '.join(reasons)}")
        self.reasons = reasons


@dataclass(frozen=True)
class Party:
    """Seller or buyer, as copied onto the invoice. What is not known is ''."""

    name: str
    address_line1: str = ""
    address_line2: str = ""
    postal_code: str = ""
    city: str = ""
    state: str = ""
    country: str = ""  # ISO 3166-1 alpha-2
    tax_id: str = ""
    registration: str = ""
    email: str = ""
    phone: str = ""
    reference: str = ""  # the buyer's own: an order number, or a Leitweg-ID
    iban: str = ""
    bic: str = ""
    bank: str = ""
    logo: str = ""  # an SVG


@dataclass(frozen=True)
class DocumentLine:
    """One line. `amount` of a credit note's line is what is taken back, positive."""

    position: int
    type: LineType
    start: datetime
    end: datetime
    amount: Decimal
    explanation: str
    tax_rate: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    included: Decimal = Decimal(0)
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
    residual: Decimal = Decimal(0)
    origin: str = ""  # the invoice that an adjustment, or a credit note's line, corrects


@dataclass(frozen=True)
class DocumentTax:
    rate: Decimal
    base: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Evidence:
    """What reproduces an invoice, and what was metered for it."""

    watermark: datetime
    seal: int
    price_versions: tuple[tuple[str, int], ...]
    rating_version: int
    usage_root: str
    usage_leaves: int
    requests: int
    requests_not_billed: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Document:
    kind: Kind
    number: str
    tenant: str
    currency: str
    issued_on: date
    made_at: datetime  # when it became final: the time stamp of its files
    seller: Party
    buyer: Party
    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    tax_category: str
    tax_note: str
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    credits_applied: Decimal
    amount_due: Decimal
    period_start: datetime
    period_end: datetime
    zone: ZoneInfo
    due_on: date | None = None
    contract: str = ""
    status: str = ""
    paid: Decimal = Decimal(0)
    credited: Decimal = Decimal(0)
    evidence: Evidence | None = None
    corrects: str = ""  # the number of the invoice that a credit note corrects, or that this one replaces
    corrects_issued_on: date | None = None
    reason: str = ""  # why a credit note was issued
    disposition: str = ""
    is_collected: bool = False  # by a payment service, so that nothing is to be transferred
    is_demo: bool = False

    def days(self, start: datetime, end: datetime) -> tuple[date, date]:
        """First and last local day of `[start, end)`."""
        return start.astimezone(self.zone).date(), (end - timedelta(microseconds=1)).astimezone(self.zone).date()
