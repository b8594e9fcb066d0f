"""What Stripe's answers and webhooks say, as values of our own, and amounts in Stripe's minor units. No network, no `stripe`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.rating.rounding import minor_digits

# Where Stripe's minor unit is not that of ISO 4217 (https://docs.stripe.com/currencies, zero-decimal and special cases).
STRIPE_DIGITS = {"ISK": 2, "UGX": 2, "MGA": 0}
# The names under which our ids stand in the metadata of Stripe's objects.
INSTALLATION, INVOICE, TENANT, ATTEMPT, REFERENCE, LINE = (
    "tallywatt_installation",
    "tallywatt_invoice",
    "tallywatt_tenant",
    "tallywatt_attempt",
    "tallywatt_reference",
    "tallywatt_line",
)
PAYABLE = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action"}
)  # could still be paid, or cancelled


class NoMinorUnits(ValueError):
    """An amount that Stripe cannot take: it is finer than the smallest unit there."""


class StripeTrouble(Exception):
    """Something that Stripe answered, or did not. The message can be shown: it holds no key."""


class StripeUnavailable(StripeTrouble):
    """No answer, or one that says nothing about what was done. The same request, under the same key, is the way to find out."""

    def __init__(self, message: str, *, retry_after_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StripeUncertain(StripeUnavailable):
    """It is open what became of this one request: it is still on its way, or its kept answer says nothing. Stripe itself is well."""


class StripeReplayed(StripeUncertain):
    """The kept answer of 5xx to an earlier request, which will come again for as long as Stripe keeps the key."""


class StripeDeclined(StripeTrouble):
    """The payment was refused, definitely. `intent` is the PaymentIntent that it happened to, where Stripe names it."""

    def __init__(self, message: str, code: str, decline_code: str, intent: "PaymentIntent | None") -> None:
        super().__init__(message)
        self.code = code
        self.decline_code = decline_code
        self.intent = intent

    @property
    def needs_authentication(self) -> bool:
        return "authentication_required" in {self.code, self.decline_code}


class StripeRefused(StripeTrouble):
    """Stripe understood and will not: a wrong key, an unknown object, a state that does not allow it. Asking again changes nothing."""

    def __init__(self, message: str, code: str = "", *, missing: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.missing = missing


class StripeKeyReused(StripeRefused):
    """The idempotency key was used with other parameters: something was asked for under it before."""


@dataclass(frozen=True)
class PaymentMethod:
    id: str
    type: str
    customer: str


@dataclass(frozen=True)
class PaymentIntent:
    id: str
    status: str
    amount: int  # minor units
    amount_received: int
    currency: str  # upper case, as ours
    customer: str
    created: datetime
    metadata: Mapping[str, str]
    error_code: str = ""
    decline_code: str = ""  # the bank's reason, where there is one
    error_message: str = ""
    redirect_url: str = ""  # where the payer authenticates

    @property
    def invoice(self) -> str:
        """Our invoice's number; '' for a payment that is not ours."""
        return self.metadata.get(INVOICE, "")

    @property
    def attempt(self) -> int:
        found = self.metadata.get(ATTEMPT, "")
        return int(found) if found.isdecimal() else 0


@dataclass(frozen=True)
class StripeInvoice:
    id: str
    status: str  # draft, open, paid, void, uncollectible
    total: int
    amount_paid: int
    amount_remaining: int
    credited: int  # by credit notes before it was paid
    currency: str
    created: datetime
    hosted_url: str
    attempts: int  # to collect it, by Stripe's own schedule
    automatic: bool  # charged to the stored payment method; else the customer is sent it
    customer: str
    metadata: Mapping[str, str]

    @property
    def invoice(self) -> str:
        return self.metadata.get(INVOICE, "")


@dataclass(frozen=True)
class StripeRefund:
    id: str
    status: str  # pending, requires_action, succeeded, failed, canceled
    amount: int
    currency: str
    payment_intent: str
    created: datetime
    metadata: Mapping[str, str]
    failure: str = ""

    @property
    def reference(self) -> str:
        return self.metadata.get(REFERENCE, "")


@dataclass(frozen=True)
class StripeCreditNote:
    id: str
    status: str
    amount: int
    currency: str
    invoice: str  # Stripe's id
    created: datetime
    metadata: Mapping[str, str]

    @property
    def reference(self) -> str:
        return self.metadata.get(REFERENCE, "")


@dataclass(frozen=True)
class InvoicePayment:
    """Money that Stripe has for one of its invoices. `payment_intent` '' where it was paid elsewhere."""

    id: str
    status: str
    amount_paid: int
    currency: str
    payment_intent: str
    paid_at: datetime | None


@dataclass(frozen=True)
class WebhookEvent:
    id: str
    type: str
    created: datetime
    object: Mapping[str, Any]


def digits(currency: str) -> int:
    """Digits after the point of an amount at Stripe. Raises UnknownCurrency."""
    return STRIPE_DIGITS.get(currency.upper(), minor_digits(currency.upper()))


def to_minor(amount: Decimal, currency: str) -> int:
    """Minor units of Stripe. Raises NoMinorUnits where that would lose a digit."""
    scaled = amount.scaleb(digits(currency))
    whole = int(scaled)
    if whole != scaled:
        raise NoMinorUnits(f"{amount} {currency} is finer than Stripe's smallest unit")
    if digits(currency) == 3 and whole % 10:  # cards settle three-digit currencies in tens
        raise NoMinorUnits(
            f"{amount} {currency}: Stripe takes amounts in {currency.upper()} with a last digit of 0 only"
        )
    return whole


def from_minor(amount: int, currency: str) -> Decimal:
    return Decimal(amount).scaleb(-digits(currency))


def payment_intent(raw: Mapping[str, Any]) -> PaymentIntent:
    error, action = raw.get("last_payment_error") or {}, raw.get("next_action") or {}
    return PaymentIntent(
        id=str(raw["id"]),
        status=str(raw["status"]),
        amount=int(raw["amount"]),
        amount_received=_received(raw),
        currency=str(raw["currency"]).upper(),
        customer=_id(raw.get("customer")),
        created=moment(raw["created"]),
        metadata=_metadata(raw),
        error_code=str(error.get("code") or ""),
        decline_code=str(error.get("decline_code") or ""),
        error_message=str(error.get("message") or ""),
        redirect_url=str((action.get("redirect_to_url") or {}).get("url") or ""),
    )


def invoice(raw: Mapping[str, Any]) -> StripeInvoice:
    return StripeInvoice(
        id=str(raw["id"]),
        status=str(raw["status"]),
        total=int(raw["total"]),
        amount_paid=int(raw["amount_paid"]),
        amount_remaining=int(raw["amount_remaining"]),
        credited=int(raw.get("pre_payment_credit_notes_amount") or 0),
        currency=str(raw["currency"]).upper(),
        created=moment(raw["created"]),
        hosted_url=str(raw.get("hosted_invoice_url") or ""),
        attempts=int(raw.get("attempt_count") or 0),
        automatic=raw.get("collection_method") == "charge_automatically",
        customer=_id(raw.get("customer")),
        metadata=_metadata(raw),
    )


def refund(raw: Mapping[str, Any]) -> StripeRefund:
    return StripeRefund(
        id=str(raw["id"]),
        status=str(raw.get("status") or "pending"),
        amount=int(raw["amount"]),
        currency=str(raw["currency"]).upper(),
        payment_intent=_id(raw.get("payment_intent")),
        created=moment(raw["created"]),
        metadata=_metadata(raw),
        failure=str(raw.get("failure_reason") or ""),
    )


def credit_note(raw: Mapping[str, Any]) -> StripeCreditNote:
    return StripeCreditNote(
        id=str(raw["id"]),
        status=str(raw["status"]),
        amount=int(raw["total"]),
        currency=str(raw["currency"]).upper(),
        invoice=_id(raw.get("invoice")),
        created=moment(raw["created"]),
        metadata=_metadata(raw),
    )


def invoice_payment(raw: Mapping[str, Any]) -> InvoicePayment:
    paid_at = (raw.get("status_transitions") or {}).get("paid_at")
    return InvoicePayment(
        id=str(raw["id"]),
        status=str(raw["status"]),
        amount_paid=int(raw.get("amount_paid") or 0),
        currency=str(raw["currency"]).upper(),
        payment_intent=_id((raw.get("payment") or {}).get("payment_intent")),
        paid_at=moment(paid_at) if paid_at else None,
    )


def payment_method(raw: Mapping[str, Any]) -> PaymentMethod:
    return PaymentMethod(str(raw["id"]), str(raw["type"]), _id(raw.get("customer")))


def moment(epoch_s: Any) -> datetime:
    return datetime.fromtimestamp(int(epoch_s), UTC)


def _received(raw: Mapping[str, Any]) -> int:
    """What has arrived. Where the field is missing (localstripe), a payment that succeeded brought all of it."""
    if raw.get("amount_received") is None:
        return int(raw["amount"]) if raw["status"] == "succeeded" else 0
    return int(raw["amount_received"])


def _id(value: Any) -> str:
    """An id, where Stripe gives one or the object that it names."""
    return str(value.get("id") or "") if isinstance(value, Mapping) else str(value or "")


def _metadata(raw: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in (raw.get("metadata") or {}).items()}
