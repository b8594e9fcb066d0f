"""The state of one account at the stand-in, and what each request does to it. Money is in whole minor units."""

import itertools
from collections.abc import Callable, Iterable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from tests.billing.stripe.standin.parameters import Refused

Object = dict[str, Any]
OLDEST_USAGE_S = 35 * 86_400
IDENTIFIER_S = 86_400


class Account:
    """`cards` behave as told: ok, declined, lost, 3ds, processing. Every change makes an event, which tests deliver."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.objects: dict[str, Object] = {}
        self.events: list[Object] = []
        self.cards: dict[str, str] = {}
        self.usage: list[Object] = []
        self._count = itertools.count(1)

    # -- what tests set up

    def card(self, customer: str, behaviour: str = "ok") -> str:
        method = self._new("pm", "payment_method", {"type": "card", "customer": customer})
        self.cards[method["id"]] = behaviour
        return str(method["id"])

    def meter(self, event_name: str) -> str:
        return str(self._new("mtr", "billing.meter", {"event_name": event_name, "status": "active"})["id"])

    def authenticate(self, intent: str, *, success: bool = True) -> None:
        """The payer answers at the bank."""
        row = self.objects[intent]
        assert row["status"] == "requires_action", row["status"]
        row["next_action"] = None
        if success:
            self._pay(row)
        else:
            code = "payment_intent_authentication_failure"
            row |= {"status": "requires_payment_method", "last_payment_error": _error(code, "Authentication failed.")}
            self._event("payment_intent.payment_failed", row)

    def settle(self, intent: str, *, success: bool = True) -> None:
        """A payment that was being processed comes to its end."""
        row = self.objects[intent]
        assert row["status"] == "processing", row["status"]
        if success:
            self._pay(row)
        else:
            row |= {"status": "requires_payment_method", "last_payment_error": _error("card_declined", "Returned.")}
            self._event("payment_intent.payment_failed", row)

    def of(self, kind: str) -> list[Object]:
        return [row for row in self.objects.values() if row["object"] == kind]

    def charged(self, currency: str = "usd") -> int:
        """All money that was taken, however often."""
        return sum(row["amount_received"] for row in self.of("payment_intent") if row["currency"] == currency)

    # -- customers

    def create_customer(self, **fields: Any) -> Object:
        return self._new("cus", "customer", fields)

    def update_customer(self, customer: str, **fields: Any) -> Object:
        row = self._get(customer, "customer")
        row |= fields
        return row

    def list_customers(self, **asked: Any) -> Object:
        return self._listed(self.of("customer"), asked)

    def payment_method(self, method: str) -> Object:
        return self._get(method, "payment_method")

    def create_session(self, **fields: Any) -> Object:
        self._get(fields["customer"], "customer")
        made = self._new("cs_test", "checkout.session", fields)
        made["url"] = f"https://checkout.stripe.example/{made['id']}"
        return made

    # -- payments

    def create_intent(self, **fields: Any) -> Object:
        if fields["amount"] < 50:
            raise Refused(400, "Amount must be at least $0.50 usd", code="amount_too_small", param="amount")
        if fields.get("off_session") and not fields.get("confirm"):
            raise Refused(400, "off_session needs confirm=true", param="off_session")
        self._get(fields["customer"], "customer")
        method = self._get(fields["payment_method"], "payment_method")
        if method["customer"] != fields["customer"]:
            raise Refused(
                400, f"The payment method {method['id']} does not belong to the customer", param="payment_method"
            )
        if fields.get("payment_method_types") != [method["type"]]:
            raise Refused(400, "The payment method's type is not among payment_method_types", param="payment_method")
        off_session = fields.pop("off_session", False)
        confirm = fields.pop("confirm", False)
        row = self._new("pi", "payment_intent", fields | {"status": "requires_confirmation", "amount_received": 0})
        row |= {"last_payment_error": None, "next_action": None}
        return self._confirm(row, off_session=off_session) if confirm else row

    def confirm_intent(self, intent: str, **fields: Any) -> Object:
        row = self._get(intent, "payment_intent")
        if row["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
            raise _unexpected(row)
        row["payment_method"] = fields.get("payment_method", row["payment_method"])
        return self._confirm(row, off_session=False, return_url=fields["return_url"])

    def cancel_intent(self, intent: str) -> Object:
        row = self._get(intent, "payment_intent")
        if row["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
            raise _unexpected(row)
        row |= {"status": "canceled", "next_action": None}
        self._event("payment_intent.canceled", row)
        return row

    def intent(self, intent: str) -> Object:
        return self._get(intent, "payment_intent")

    def list_intents(self, customer: str | None = None, **asked: Any) -> Object:
        rows = [row for row in self.of("payment_intent") if customer in {None, row.get("customer")}]
        return self._listed(rows, asked)

    def _confirm(self, row: Object, *, off_session: bool, return_url: str = "") -> Object:
        behaviour = self.cards[row["payment_method"]]
        if behaviour == "3ds" and not off_session:
            redirect = {"url": f"https://bank.example/{row['id']}", "return_url": return_url}
            row |= {
                "status": "requires_action",
                "next_action": {"type": "redirect_to_url", "redirect_to_url": redirect},
            }
            self._event("payment_intent.requires_action", row)
        elif behaviour == "processing":
            row["status"] = "processing"
            self._event("payment_intent.processing", row)
        elif behaviour == "ok":
            self._pay(row)
        else:
            raise self._declined(row, behaviour)
        return row

    def _declined(self, row: Object, behaviour: str) -> Refused:
        code, reason = {
            "declined": ("card_declined", "insufficient_funds"),
            "lost": ("card_declined", "lost_card"),
            "3ds": ("authentication_required", "authentication_required"),
        }[behaviour]
        row |= {
            "status": "requires_payment_method",
            "last_payment_error": _error(code, "Your card was declined.", reason),
        }
        self._event("payment_intent.payment_failed", row)
        more = {"code": code, "decline_code": reason, "payment_intent": deepcopy(row)}
        return Refused(402, "Your card was declined.", kind="card_error", **more)

    def _pay(self, row: Object) -> None:
        row |= {"status": "succeeded", "amount_received": row["amount"], "last_payment_error": None}
        self._event("payment_intent.succeeded", row)

    # -- invoices

    def create_invoice(self, **fields: Any) -> Object:
        self._get(fields["customer"], "customer")
        if fields["collection_method"] == "send_invoice" and "days_until_due" not in fields:
            raise Refused(400, "days_until_due is needed with send_invoice", param="days_until_due")
        if any(row["number"] == fields.get("number") for row in self.of("invoice") if row["number"]):
            raise Refused(400, f"The invoice number {fields['number']} is taken", param="number")
        amounts = dict.fromkeys(("total", "amount_due", "amount_paid", "amount_remaining", "attempt_count"), 0)
        blank = {"number": None, "status": "draft", "hosted_invoice_url": None, "pre_payment_credit_notes_amount": 0}
        return self._new("in", "invoice", amounts | blank | fields)

    def create_item(self, **fields: Any) -> Object:
        invoice = self._draft(fields["invoice"])
        if (invoice["customer"], invoice["currency"]) != (fields["customer"], fields["currency"]):
            raise Refused(400, "The item's customer and currency must be those of the invoice", param="invoice")
        if len(self._items(invoice["id"])) >= 250:
            raise Refused(400, "An invoice has at most 250 items", param="invoice")
        row = self._new("ii", "invoiceitem", fields)
        total = sum(each["amount"] for each in self._items(invoice["id"]))
        invoice |= {"total": total, "amount_due": max(total, 0), "amount_remaining": max(total, 0)}
        return row

    def list_items(self, invoice: str, **asked: Any) -> Object:
        return self._listed(self._items(invoice), asked)

    def finalize_invoice(self, invoice: str, **fields: Any) -> Object:
        row = self._draft(invoice)
        url = f"https://invoice.stripe.example/{row['id']}"
        row |= fields | {"status": "open", "hosted_invoice_url": url}
        if row["amount_due"] == 0:
            row["status"] = "paid"
        self._event("invoice.finalized", row)
        return row

    def pay_invoice(self, invoice: str, *, off_session: bool = False, paid_out_of_band: bool = False) -> Object:
        row = self._get(invoice, "invoice")
        if row["status"] not in {"open", "uncollectible"}:
            raise Refused(400, f"Invoice is {row['status']}", code="invoice_not_open")
        if paid_out_of_band:
            return self._invoice_paid(row, None)
        method = row.get("default_payment_method")
        if method is None:
            raise Refused(400, "There is no payment method", code="invoice_payment_intent_requires_action")
        fields = {"amount": row["amount_remaining"], "currency": row["currency"], "customer": row["customer"]}
        more = {"payment_method": method, "status": "requires_confirmation", "amount_received": 0}
        intent = self._new("pi", "payment_intent", fields | more | {"last_payment_error": None, "next_action": None})
        row["attempt_count"] += 1
        try:
            self._confirm(intent, off_session=off_session)
        except Refused:
            self._event("invoice.payment_failed", row)
            raise
        return self._invoice_paid(row, intent)

    def retry_invoice(self, invoice: str) -> None:
        """What Stripe does by its own schedule."""
        self.pay_invoice(invoice, off_session=True)

    def void_invoice(self, invoice: str) -> Object:
        row = self._get(invoice, "invoice")
        if row["status"] not in {"open", "uncollectible"}:
            raise Refused(400, f"Invoice is {row['status']}", code="invoice_not_open")
        row |= {"status": "void", "amount_remaining": 0}
        self._event("invoice.voided", row)
        return row

    def delete_invoice(self, invoice: str) -> Object:
        self._draft(invoice)
        for row in self._items(invoice):
            del self.objects[row["id"]]
        del self.objects[invoice]
        return {"id": invoice, "object": "invoice", "deleted": True}

    def invoice(self, invoice: str) -> Object:
        return self._get(invoice, "invoice")

    def list_invoices(self, customer: str | None = None, **asked: Any) -> Object:
        return self._listed([row for row in self.of("invoice") if customer in {None, row["customer"]}], asked)

    def list_invoice_payments(self, invoice: str, **asked: Any) -> Object:
        return self._listed([row for row in self.of("invoice_payment") if row["invoice"] == invoice], asked)

    def _invoice_paid(self, row: Object, intent: Object | None) -> Object:
        paid = {
            "invoice": row["id"],
            "amount_paid": row["amount_remaining"],
            "currency": row["currency"],
            "status": "paid",
        }
        payment = {"type": "payment_intent", "payment_intent": intent["id"]} if intent else {"type": "payment_record"}
        times = {"status_transitions": {"paid_at": int(self.clock()), "canceled_at": None}}
        self._new("inpay", "invoice_payment", paid | times | {"payment": payment})
        row |= {"status": "paid", "amount_paid": row["amount_paid"] + row["amount_remaining"], "amount_remaining": 0}
        self._event("invoice.paid", row)
        return row

    def _draft(self, invoice: str) -> Object:
        row = self._get(invoice, "invoice")
        if row["status"] != "draft":
            raise Refused(
                400, f"Invoice {invoice} is {row['status']}: only a draft can be changed", code="invoice_not_editable"
            )
        return row

    def _items(self, invoice: str) -> list[Object]:
        return [row for row in self.of("invoiceitem") if row["invoice"] == invoice]

    # -- money back

    def create_refund(self, payment_intent: str, amount: int, **fields: Any) -> Object:
        intent = self._get(payment_intent, "payment_intent")
        gone = sum(row["amount"] for row in self.of("refund") if row["payment_intent"] == payment_intent)
        if amount <= 0 or amount > intent["amount_received"] - gone:
            raise Refused(400, f"Refund amount ({amount}) is greater than what is left", param="amount")
        more = {
            "payment_intent": payment_intent,
            "amount": amount,
            "currency": intent["currency"],
            "status": "succeeded",
        }
        row = self._new("re", "refund", more | fields)
        self._event("refund.created", row)
        return row

    def fail_refund(self, refund: str) -> None:
        row = self.objects[refund]
        row |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        self._event("refund.failed", row)

    def refund(self, refund: str) -> Object:
        return self._get(refund, "refund")

    def list_refunds(self, payment_intent: str | None = None, **asked: Any) -> Object:
        rows = [row for row in self.of("refund") if payment_intent in {None, row["payment_intent"]}]
        return self._listed(rows, asked)

    def create_note(self, invoice: str, amount: int, **fields: Any) -> Object:
        row = self._get(invoice, "invoice")
        if row["status"] not in {"open", "paid"}:
            raise Refused(400, f"A credit note cannot be made for an invoice that is {row['status']}", param="invoice")
        refunded = sum(each["amount_refunded"] for each in fields.pop("refunds", []))
        elsewhere = fields.pop("out_of_band_amount", 0)
        if row["status"] == "paid" and refunded + elsewhere != amount:
            raise Refused(400, "The sum of refunds and out_of_band_amount must equal the credit note's amount")
        if row["status"] == "open":
            if refunded or elsewhere or amount > row["amount_remaining"]:
                raise Refused(400, "The credit note's amount is more than what remains", param="amount")
            row["amount_remaining"] -= amount
            row["pre_payment_credit_notes_amount"] += amount
        more = {"invoice": invoice, "total": amount, "currency": row["currency"], "status": "issued"}
        made = self._new("cn", "credit_note", more | fields)
        if row["status"] == "open" and row["amount_remaining"] == 0:
            row["status"] = "paid"
            self._event("invoice.paid", row)
        return made

    def list_notes(self, invoice: str | None = None, **asked: Any) -> Object:
        return self._listed([row for row in self.of("credit_note") if invoice in {None, row["invoice"]}], asked)

    # -- usage

    def create_meter_event(self, event_name: str, payload: Object, identifier: str, timestamp: int) -> Object:
        now = self.clock()
        if not any(row["event_name"] == event_name for row in self.of("billing.meter")):
            raise Refused(400, f"No active meter found for event name {event_name}", code="no_meter")
        if timestamp < now - OLDEST_USAGE_S or timestamp > now + 300:
            raise Refused(400, "The timestamp is outside of the last 35 days", code="timestamp_too_far_in_past")
        self._get(payload["stripe_customer_id"], "customer")
        for known in self.usage:
            if known["identifier"] == identifier and known["received"] > now - IDENTIFIER_S:
                raise Refused(
                    400, f"An event already exists with identifier {identifier}", code="duplicate_meter_event"
                )
        row = {"object": "billing.meter_event", "event_name": event_name, "identifier": identifier, "payload": payload}
        row |= {"timestamp": timestamp, "created": int(now), "livemode": False}
        self.usage.append(row | {"received": now})
        return row

    def list_meters(self, status: str = "active", **asked: Any) -> Object:
        return self._listed([row for row in self.of("billing.meter") if row["status"] == status], asked)

    def list_summaries(self, meter: str, customer: str, start_time: int, end_time: int, **asked: Any) -> Object:
        if start_time % 60 or end_time % 60 or start_time >= end_time:
            raise Refused(400, "start_time and end_time must lie on minutes, one after the other", param="start_time")
        name = self._get(meter, "billing.meter")["event_name"]
        total = self.counted(name, customer, start_time, end_time)
        summary = {"id": "mtrusg_1", "object": "billing.meter_event_summary", "meter": meter, "created": 0}
        return self._listed([summary | {"aggregated_value": int(total)}] if total else [], asked)

    def counted(self, name: str, customer: str, start: float = 0, end: float = float("inf")) -> Decimal:
        return sum(
            (
                Decimal(row["payload"]["value"])
                for row in self.usage
                if row["event_name"] == name
                and row["payload"]["stripe_customer_id"] == customer
                and start <= row["timestamp"] < end
            ),
            Decimal(0),
        )

    # -- events

    def list_events(self, **asked: Any) -> Object:
        return self._listed(self.events, asked)

    def _event(self, kind: str, row: Object) -> None:
        event = {
            "id": self._id("evt"),
            "object": "event",
            "type": kind,
            "created": int(self.clock()),
            "livemode": False,
        }
        self.events.append(event | {"data": {"object": deepcopy(row)}, "api_version": None, "pending_webhooks": 1})

    # -- all of them

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._count):014d}"

    def _new(self, prefix: str, kind: str, fields: Object) -> Object:
        made = {"id": self._id(prefix), "object": kind, "created": int(self.clock()), "livemode": False, "metadata": {}}
        self.objects[made["id"]] = made | fields
        return self.objects[made["id"]]

    def _get(self, id: str, kind: str) -> Object:
        row = self.objects.get(id)
        if row is None or row["object"] != kind:
            raise Refused(404, f"No such {kind}: '{id}'", code="resource_missing", param="id")
        return row

    def _listed(self, rows: Iterable[Object], asked: Object) -> Object:
        """Newest first, a page at a time."""
        since = asked.get("created", {}).get("gte", 0)
        found = sorted(
            (row for row in rows if row.get("created", since) >= since), key=lambda row: row["id"], reverse=True
        )
        if after := asked.get("starting_after"):
            found = found[[row["id"] for row in found].index(after) + 1 :]
        limit = asked.get("limit", 10)
        if not 1 <= limit <= 100:
            raise Refused(400, "limit must be between 1 and 100", param="limit")
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}


def _error(code: str, message: str, decline_code: str = "") -> Object:
    return {"type": "card_error", "code": code, "message": message, "decline_code": decline_code or None}


def _unexpected(row: Object) -> Refused:
    return Refused(400, f"This PaymentIntent is {row['status']}", code="payment_intent_unexpected_state")
