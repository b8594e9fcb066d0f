"""Credit as other packages see it: frozen values, part of `billing.contracts`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

CREDIT_COLUMNS = (
    "id",
    "tenant",
    "name",
    "kind",
    "currency",
    "amount",
    "left",
    "status",
    "priority",
    "models",
    "effective_from",
    "expires_at",
    "created_at",
)
CREDIT_ENTRY_COLUMNS = (
    "transaction",
    "at",
    "tenant",
    "type",
    "reference",
    "grant",
    "grant_name",
    "kind",
    "amount",
    "currency",
    "note",
)


@dataclass(frozen=True)
class CreditGrantInfo:
    """`left`: of `amount`. `status`: active, pending (it covers no usage yet), expired (what is left waits for the invoice of its last
    period) or used. `models` empty: any. `effective_from` None: any usage that is not invoiced.
    """

    id: int
    tenant: str
    name: str
    kind: str
    currency: str
    amount: Decimal
    left: Decimal
    status: str
    priority: int
    models: tuple[str, ...]
    effective_from: datetime | None
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class CreditEntryInfo:
    """What one transaction did to one grant. `amount` below zero: it was used, or taken. `entry`: its id."""

    entry: int
    transaction: int
    at: datetime
    tenant: str
    type: str
    reference: str
    grant: int
    grant_name: str
    kind: str
    amount: Decimal
    currency: str
    note: str

    @property
    def invoice(self) -> str:
        """The number of the invoice that used it, or gave it back; '' for what is about none."""
        return self.reference.partition(":")[2] if self.type in {"apply", "release"} else ""


@dataclass(frozen=True)
class CreditBalance:
    """What a tenant holds in one currency. `promotional` and `prepaid` (paid or carried) can cover usage now; `pending` not yet,
    `expired` only usage of a period that is not invoiced.
    """

    tenant: str
    currency: str
    promotional: Decimal
    prepaid: Decimal
    pending: Decimal
    expired: Decimal

    @property
    def available(self) -> Decimal:
        return self.promotional + self.prepaid


@dataclass(frozen=True)
class CreditOutlook:
    """A tenant's credit at the pace of the last `days` days. `unbilled`: usage that no invoice has yet, with tax, which credit will pay.

    `used_up_on`: the first day that it does not cover; None: no day of the next year. Credit for some models is not counted on.
    """

    balance: CreditBalance
    unbilled: Decimal
    day_cost: Decimal
    days: int
    used_up_on: datetime | None
    expires_unused: Decimal


@dataclass(frozen=True)
class TopUpInfo:
    """The rule of a tenant, and the invoice of kind top_up that waits for its payment ('' none)."""

    tenant: str
    currency: str
    threshold: Decimal
    amount: Decimal
    valid_days: int | None
    most_per_month: Decimal | None
    enabled: bool
    open_invoice: str
