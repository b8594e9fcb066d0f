"""Every address of the stand-in: what it takes, what of that it needs, and which method of the account answers."""

import re
from dataclasses import dataclass
from typing import Any

from tests.billing.stripe.standin.parameters import (
    Check,
    Refused,
    boolean,
    checked,
    currency,
    group,
    identifier,
    integer,
    listed,
    metadata,
    number,
    one_of,
    text,
)

CUSTOMER, INTENT, METHOD, INVOICE = identifier("cus_"), identifier("pi_"), identifier("pm_"), identifier("in_")
PAGE: dict[str, Check] = {"limit": integer, "starting_after": text}
SINCE: dict[str, Check] = {"created": group(gte=integer)}
ADDRESS = group(line1=text, line2=text, postal_code=text, city=text, state=text, country=text)


@dataclass(frozen=True)
class Route:
    method: str
    path: re.Pattern[str]
    does: str  # the method of Account
    allowed: dict[str, Check]
    required: tuple[str, ...] = ()

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return checked(given, self.allowed, required=self.required)


def _route(method: str, path: str, does: str, *required: str, **allowed: Check) -> Route:
    pattern = re.compile(re.sub(r"\{\w+\}", r"([A-Za-z0-9_]+)", path) + r"\Z")
    return Route(method, pattern, does, allowed, required)


ROUTES = (
    _route("POST", "/v1/customers", "create_customer", name=text, email=text, address=ADDRESS, metadata=metadata),
    _route("POST", "/v1/customers/{id}", "update_customer", name=text, email=text, address=ADDRESS, metadata=metadata),
    _route("GET", "/v1/customers", "list_customers", **PAGE, **SINCE),
    _route("GET", "/v1/payment_methods/{id}", "payment_method"),
    _route(
        "POST", "/v1/checkout/sessions", "create_session", "mode", "customer", "success_url",
        mode=one_of("setup"), customer=CUSTOMER, success_url=text, cancel_url=text, payment_method_types=listed(text),
    ),
    _route(
        "POST", "/v1/payment_intents", "create_intent", "amount", "currency",
        amount=integer, currency=currency, customer=CUSTOMER, payment_method=METHOD, payment_method_types=listed(text),
        confirm=boolean, off_session=boolean, metadata=metadata,
    ),
    _route("GET", "/v1/payment_intents", "list_intents", customer=CUSTOMER, **PAGE, **SINCE),
    _route("GET", "/v1/payment_intents/{id}", "intent"),
    _route(
        "POST", "/v1/payment_intents/{id}/confirm", "confirm_intent", "return_url",
        payment_method=METHOD, return_url=text,
    ),
    _route("POST", "/v1/payment_intents/{id}/cancel", "cancel_intent"),
    _route(
        "POST", "/v1/invoices", "create_invoice", "customer", "currency", "collection_method",
        customer=CUSTOMER, currency=currency, number=text, auto_advance=boolean, metadata=metadata,
        pending_invoice_items_behavior=one_of("exclude"), days_until_due=integer, default_payment_method=METHOD,
        collection_method=one_of("charge_automatically", "send_invoice"),
    ),
    _route("GET", "/v1/invoices", "list_invoices", customer=CUSTOMER, **PAGE, **SINCE),
    _route("GET", "/v1/invoices/{id}", "invoice"),
    _route("DELETE", "/v1/invoices/{id}", "delete_invoice"),
    _route("POST", "/v1/invoices/{id}/finalize", "finalize_invoice", auto_advance=boolean),
    _route("POST", "/v1/invoices/{id}/pay", "pay_invoice", off_session=boolean, paid_out_of_band=boolean),
    _route("POST", "/v1/invoices/{id}/void", "void_invoice"),
    _route(
        "POST", "/v1/invoiceitems", "create_item", "customer", "amount", "currency", "invoice",
        customer=CUSTOMER, amount=integer, currency=currency, invoice=INVOICE, description=text, metadata=metadata,
        period=group(start=integer, end=integer),
    ),
    _route("GET", "/v1/invoiceitems", "list_items", "invoice", invoice=INVOICE, **PAGE),
    _route("GET", "/v1/invoice_payments", "list_invoice_payments", "invoice", invoice=INVOICE, **PAGE),
    _route(
        "POST", "/v1/refunds", "create_refund", "payment_intent", payment_intent=INTENT, amount=integer, metadata=metadata
    ),
    _route("GET", "/v1/refunds", "list_refunds", payment_intent=INTENT, **PAGE, **SINCE),
    _route("GET", "/v1/refunds/{id}", "refund"),
    _route(
        "POST", "/v1/credit_notes", "create_note", "invoice", "amount",
        invoice=INVOICE, amount=integer, memo=text, metadata=metadata, out_of_band_amount=integer,
        refunds=listed(group(refund=identifier("re_"), amount_refunded=integer)),
    ),
    _route("GET", "/v1/credit_notes", "list_notes", invoice=INVOICE, **PAGE, **SINCE),
    _route(
        "POST", "/v1/billing/meter_events", "create_meter_event", "event_name", "payload",
        event_name=text, identifier=text, timestamp=integer, payload=group(stripe_customer_id=CUSTOMER, value=number),
    ),
    _route("GET", "/v1/billing/meters", "list_meters", status=one_of("active"), **PAGE),
    _route(
        "GET", "/v1/billing/meters/{id}/event_summaries", "list_summaries", "customer", "start_time", "end_time",
        customer=CUSTOMER, start_time=integer, end_time=integer, **PAGE,
    ),
    _route("GET", "/v1/events", "list_events", **PAGE, **SINCE),
)  # fmt: skip


def found(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        matched = route.path.match(path)
        if route.method == method and matched:
            return route, matched.groups()
    raise Refused(404, f"Unrecognized request URL ({method}: {path}).")
