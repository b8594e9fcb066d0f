"""What billing keeps in PostgreSQL. Everything here only ever grows, or says what became of something that does."""

from billing.models.agreements import (
    Allowance,
    Contract,
    ContractRevision,
    Customer,
    Discount,
    FlatFee,
    Objective,
    PercentageFee,
    Seller,
    TaxRate,
)
from billing.models.audit_log import AuditEntry
from billing.models.base import MONEY_DIGITS, PRICE_DIGITS, AppendOnly, Unchangeable
from billing.models.credits import CreditEntry, CreditGrant, CreditTransaction, TopUpRule
from billing.models.invoices import Invoice, InvoiceLine, InvoiceRun, InvoiceSeries, InvoiceTax
from billing.models.margins import KeptMargin
from billing.models.prices import Price, PriceBook, PriceBookPublication, PriceBookVersion, PricePreview
from billing.models.settlements import (
    CreditNote,
    CreditNoteLine,
    InvoiceEvent,
    InvoiceState,
    Payment,
    Refund,
    Reminder,
)
from billing.models.stripe import (
    StripeDifference,
    StripeEvent,
    StripeInstallation,
    StripeObject,
    StripeTask,
    StripeUsagePush,
    StripeUsageStart,
)

__all__ = [
    "MONEY_DIGITS",
    "PRICE_DIGITS",
    "Allowance",
    "AppendOnly",
    "AuditEntry",
    "Contract",
    "ContractRevision",
    "CreditEntry",
    "CreditGrant",
    "CreditNote",
    "CreditNoteLine",
    "CreditTransaction",
    "Customer",
    "Discount",
    "FlatFee",
    "Invoice",
    "InvoiceEvent",
    "InvoiceLine",
    "InvoiceRun",
    "InvoiceSeries",
    "InvoiceState",
    "InvoiceTax",
    "KeptMargin",
    "Objective",
    "Payment",
    "PercentageFee",
    "Price",
    "PriceBook",
    "PriceBookPublication",
    "PriceBookVersion",
    "PricePreview",
    "Refund",
    "Reminder",
    "Seller",
    "StripeDifference",
    "StripeEvent",
    "StripeInstallation",
    "StripeObject",
    "StripeTask",
    "StripeUsagePush",
    "StripeUsageStart",
    "TaxRate",
    "TopUpRule",
    "Unchangeable",
]
