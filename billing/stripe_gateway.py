"""The only place that speaks to Stripe. Requests go out as they are asked for: what to ask, when, and again, is for `stripe_tasks`.

Every request that changes something carries an idempotency key that derives from our own ids, so that asking twice does it once.
The library's own retries are off: an answer that got lost is a task that is due again, in the database, whatever becomes of this process.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import stripe
from django.conf import settings

from billing import stripe_values as values
from billing.stripe_values import (
    InvoicePayment,
    PaymentIntent,
    PaymentMethod,
    StripeCreditNote,
    StripeDeclined,
    StripeInvoice,
    StripeKeyReused,
    StripeRefund,
    StripeRefused,
    StripeReplayed,
    StripeUnavailable,
    StripeUncertain,
    WebhookEvent,
)

TIMEOUT_S = (5.0, 30.0)  # to connect, to answer
PAGE = 100
CLOCKS = timedelta(hours=1)  # lists reach back further by this: the two clocks need not agree
SIGNATURE_AGE_S: Final = 300

stripe.enable_telemetry = False  # it would name this machine to Stripe, and keep a file in the home directory

Value = TypeVar("Value")


class BadSignature(ValueError):
    """A webhook that was not signed with our secret, or too long ago."""


def enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def gateway() -> "Gateway":
    """The account that the settings name. Raises StripeRefused without a key."""
    if not enabled():
        raise StripeRefused("there is no STRIPE_SECRET_KEY: Stripe is not used")
    return Gateway(_client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE))


def close() -> None:
    """Let go of kept connections; the next request opens its own."""
    _client.cache_clear()


@lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    """One client for each account, so that connections are kept."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else None,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )


def webhook_event(payload: bytes, signature: str, secret: str) -> WebhookEvent:
    """The event that these bytes are. Raises BadSignature; ValueError for signed bytes that are not an event."""
    try:
        stripe.WebhookSignature.verify_header(payload, signature, secret, SIGNATURE_AGE_S)
    except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
        raise BadSignature(str(error)) from error
    return parsed_event(payload)


def parsed_event(payload: bytes | str) -> WebhookEvent:
    """An event whose signature was checked when it came."""
    raw = stripe.Webhook.construct_event_without_verification(payload).to_dict()
    try:
        return WebhookEvent(str(raw["id"]), str(raw["type"]), values.moment(raw["created"]), raw["data"]["object"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an event of Stripe: {error!r} is missing") from error


class Gateway:
    """One account at Stripe. Every method raises StripeUnavailable, StripeDeclined or StripeRefused, and nothing of the library."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._v1 = client.v1

    # -- customers and payment methods

    def create_customer(self, fields: Mapping[str, Any], key: str) -> str:
        return self._done(self._v1.customers.create, fields, key, lambda raw: str(raw["id"]))

    def update_customer(self, customer: str, fields: Mapping[str, Any], key: str) -> None:
        self._done(lambda p, o: self._v1.customers.update(customer, p, o), fields, key, lambda raw: None)

    def find_customer(self, tenant: str, installation: str, since: datetime) -> str | None:
        """The customer that was made for this tenant. A list is read, since Stripe's search lags behind."""
        ours = {values.TENANT: tenant, values.INSTALLATION: installation}
        for raw in self._listed(self._v1.customers.list, {"created": {"gte": _epoch(since - CLOCKS)}}):
            if ours.items() <= (raw.get("metadata") or {}).items():
                return str(raw["id"])
        return None

    def payment_method(self, method: str) -> PaymentMethod:
        return self._read(lambda: self._v1.payment_methods.retrieve(method), values.payment_method)

    def setup_page(self, customer: str, return_url: str, key: str) -> str:
        """The address of a page of Stripe's where the customer stores a payment method for later payments."""
        fields = {"mode": "setup", "customer": customer, "payment_method_types": ["card"]}
        urls = {"success_url": return_url, "cancel_url": return_url}
        return self._done(self._v1.checkout.sessions.create, fields | urls, key, lambda raw: str(raw["url"]))

    # -- payments

    def create_payment(self, fields: Mapping[str, Any], key: str) -> PaymentIntent:
        return self._done(self._v1.payment_intents.create, fields, key, values.payment_intent)

    def confirm_payment(self, intent: str, fields: Mapping[str, Any], key: str) -> PaymentIntent:
        return self._done(
            lambda p, o: self._v1.payment_intents.confirm(intent, p, o), fields, key, values.payment_intent
        )

    def cancel_payment(self, intent: str, key: str) -> PaymentIntent:
        return self._done(lambda p, o: self._v1.payment_intents.cancel(intent, p, o), {}, key, values.payment_intent)

    def payment(self, intent: str) -> PaymentIntent:
        return self._read(lambda: self._v1.payment_intents.retrieve(intent), values.payment_intent)

    def payments(self, since: datetime, customer: str = "") -> Iterator[PaymentIntent]:
        asked = {"created": {"gte": _epoch(since - CLOCKS)}} | ({"customer": customer} if customer else {})
        return map(values.payment_intent, self._listed(self._v1.payment_intents.list, asked))

    # -- invoices

    def create_invoice(self, fields: Mapping[str, Any], key: str) -> StripeInvoice:
        return self._done(self._v1.invoices.create, fields, key, values.invoice)

    def add_item(self, fields: Mapping[str, Any], key: str) -> None:
        self._done(self._v1.invoice_items.create, fields, key, lambda raw: None)

    def items_on(self, invoice: str) -> set[str]:
        """Which of our lines a draft holds already, by the name they were given in the metadata."""
        found = self._listed(self._v1.invoice_items.list, {"invoice": invoice})
        return {raw.get("metadata", {}).get(values.LINE, "") for raw in found}

    def finalise_invoice(self, invoice: str, key: str) -> StripeInvoice:
        fields = {"auto_advance": True}
        return self._done(lambda p, o: self._v1.invoices.finalize_invoice(invoice, p, o), fields, key, values.invoice)

    def pay_invoice(self, invoice: str, fields: Mapping[str, Any], key: str) -> StripeInvoice:
        return self._done(lambda p, o: self._v1.invoices.pay(invoice, p, o), fields, key, values.invoice)

    def void_invoice(self, invoice: str, key: str) -> StripeInvoice:
        return self._done(lambda p, o: self._v1.invoices.void_invoice(invoice, p, o), {}, key, values.invoice)

    def delete_draft(self, invoice: str) -> None:
        """A draft that is gone already is gone."""
        try:
            self._read(lambda: self._v1.invoices.delete(invoice), lambda raw: None)
        except StripeRefused as refusal:
            if not refusal.missing:
                raise

    def invoice(self, invoice: str) -> StripeInvoice:
        return self._read(lambda: self._v1.invoices.retrieve(invoice), values.invoice)

    def invoices(self, since: datetime, customer: str = "") -> Iterator[StripeInvoice]:
        asked = {"created": {"gte": _epoch(since - CLOCKS)}} | ({"customer": customer} if customer else {})
        return map(values.invoice, self._listed(self._v1.invoices.list, asked))

    def payments_of_invoice(self, invoice: str) -> list[InvoicePayment]:
        return [
            values.invoice_payment(raw) for raw in self._listed(self._v1.invoice_payments.list, {"invoice": invoice})
        ]

    # -- money back

    def create_refund(self, fields: Mapping[str, Any], key: str) -> StripeRefund:
        return self._done(self._v1.refunds.create, fields, key, values.refund)

    def refund(self, refund: str) -> StripeRefund:
        return self._read(lambda: self._v1.refunds.retrieve(refund), values.refund)

    def refunds(self, since: datetime | None = None, payment_intent: str = "") -> Iterator[StripeRefund]:
        asked: dict[str, Any] = {"created": {"gte": _epoch(since - CLOCKS)}} if since is not None else {}
        asked |= {"payment_intent": payment_intent} if payment_intent else {}
        return map(values.refund, self._listed(self._v1.refunds.list, asked))

    def create_credit_note(self, fields: Mapping[str, Any], key: str) -> StripeCreditNote:
        return self._done(self._v1.credit_notes.create, fields, key, values.credit_note)

    def credit_notes(self, since: datetime | None = None, invoice: str = "") -> Iterator[StripeCreditNote]:
        asked: dict[str, Any] = {"created": {"gte": _epoch(since - CLOCKS)}} if since is not None else {}
        asked |= {"invoice": invoice} if invoice else {}
        return map(values.credit_note, self._listed(self._v1.credit_notes.list, asked))

    # -- usage

    def push_usage(self, fields: Mapping[str, Any], key: str) -> None:
        self._done(self._v1.billing.meter_events.create, fields, key, lambda raw: None)

    def meters(self) -> dict[str, str]:
        """Stripe's id of each active meter, by the name of its events."""
        listed = self._listed(self._v1.billing.meters.list, {"status": "active"})
        return {str(raw["event_name"]): str(raw["id"]) for raw in listed}

    def metered(self, meter: str, customer: str, start: datetime, end: datetime) -> str:
        """What Stripe has counted of a customer in `[start, end)`, as a decimal string. Bounds lie on hours."""
        asked = {"customer": customer, "start_time": _epoch(start), "end_time": _epoch(end)}
        rows = list(self._listed(lambda p: self._v1.billing.meters.event_summaries.list(meter, p), asked))
        return str(rows[0]["aggregated_value"]) if rows else "0"

    # -- how it is asked

    def _done(
        self,
        call: Callable[..., Any],
        fields: Mapping[str, Any],
        key: str,
        made: Callable[[Mapping[str, Any]], Value],
    ) -> Value:
        with _translated():
            return made(call(dict(fields), {"idempotency_key": key}).to_dict())

    def _read(self, call: Callable[[], Any], made: Callable[[Mapping[str, Any]], Value]) -> Value:
        with _translated():
            return made(call().to_dict())

    def _listed(self, call: Callable[..., Any], asked: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        with _translated():
            for row in call({"limit": PAGE, **asked}).auto_paging_iter():
                yield cast(Mapping[str, Any], row.to_dict())


@contextmanager
def _translated() -> Iterator[None]:
    """The library's errors as ours: is it known what happened, and would asking again help?"""
    try:
        yield
    except stripe.CardError as error:
        raise _declined(error) from error
    except stripe.IdempotencyError as error:
        raise StripeKeyReused(_said(error), error.code or "") from error
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeRefused(_said(error), error.code or "", missing=error.http_status == 404) from error
    except stripe.StripeError as error:  # no connection, 409, 429, 5xx, an answer that is no JSON
        raise _unavailable(error) from error


def _unavailable(error: stripe.StripeError) -> StripeUnavailable:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.http_status == 409:  # the same request is on its way
        return StripeUncertain(_said(error))
    if headers.get("idempotent-replayed") == "true":
        return StripeReplayed(_said(error))
    return StripeUnavailable(_said(error), retry_after_s=_seconds(headers))


def _declined(error: stripe.CardError) -> StripeDeclined:
    body = cast(Mapping[str, Any], error.json_body or {}).get("error", {})
    intent = body.get("payment_intent")
    return StripeDeclined(
        _said(error),
        str(error.code or ""),
        str(body.get("decline_code") or ""),
        values.payment_intent(intent) if isinstance(intent, Mapping) else None,
    )


def _said(error: stripe.StripeError) -> str:
    return str(error.user_message or error)[:1000]


def _seconds(headers: Mapping[str, str]) -> float:
    asked = headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else 0.0


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
