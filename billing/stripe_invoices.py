"""Collecting an invoice by one of Stripe's: our lines, in whole minor units, finalised there only if its total is ours to the unit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from billing import stripe_customers, stripe_outcomes, stripe_tasks
from billing import stripe_values as values
from billing.models import CreditNote, Customer, Invoice, InvoiceLine, InvoiceState, StripeTask
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import DONE, Outcome
from billing.stripe_values import StripeDeclined, StripeInvoice

MOST_ITEMS = 200  # Stripe takes 250 on an invoice; with more lines than this, those of a model become one
LONGEST_TEXT = 500


@dataclass(frozen=True)
class Item:
    """What stands on Stripe's invoice. `name` tells it from the others, in the metadata."""

    name: str
    text: str
    amount: Decimal
    start: datetime
    end: datetime


def collect(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Make, finalise and collect Stripe's invoice, from wherever an earlier try got to."""
    state = InvoiceState.objects.select_related("invoice").get(invoice__number=task.ours)
    made = _there(task, state.invoice, gateway, now)
    if stripe_tasks.left_to_pay(state) == 0 and (made is None or made.status == "draft"):
        return _dropped(task.ours, made, gateway) if made is not None else DONE
    if made is None:
        made = _drafted(task, state.invoice, gateway, now)
    if made.status == "draft":
        _keep_notes(task, state.invoice)
        made = _filled(task, state, made, gateway)
        expected = values.to_minor(stripe_tasks.left_to_pay(state), state.invoice.currency)
        if made.total != expected:
            return _started_over(task, made, expected, gateway, now)
        made = gateway.finalise_invoice(made.id, f"{_key(task)}/finalise")
    stripe_outcomes.invoice_seen(made, now)
    return _collected(task, made, gateway, now)


def withdraw(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """The invoice is void here: so it becomes there."""
    row = stripe_outcomes.known(stripe_outcomes.INVOICE, task.ours)
    if row is None:
        return DONE
    made = gateway.invoice(row.stripe_id)
    if made.status == "draft":
        return _dropped(task.ours, made, gateway)
    if made.status == "paid":
        stripe_outcomes.payments_seen(made, gateway, now)
        return Outcome(refused=True, error=f"{task.ours} is void here and paid at Stripe: the money must go back")
    if made.status in {"open", "uncollectible"}:
        made = gateway.void_invoice(made.id, f"{_key(task)}/void")
    stripe_outcomes.invoice_seen(made, now)
    return DONE


def paid_elsewhere(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """The invoice is settled without Stripe: it is told so, and asks for nothing more."""
    row = stripe_outcomes.known(stripe_outcomes.INVOICE, task.ours)
    if row is None:
        return DONE
    made = gateway.invoice(row.stripe_id)
    if made.status in {"open", "uncollectible"}:
        made = gateway.pay_invoice(made.id, {"paid_out_of_band": True}, f"{_key(task)}/elsewhere")
    elif made.status == "draft":
        return _dropped(task.ours, made, gateway)
    stripe_outcomes.invoice_seen(made, now)
    return DONE


def items(invoice: Invoice) -> list[Item]:
    """The lines that cost something, the tax of each rate, and the prepaid credit that pays: together what is due."""
    lines = [line for line in invoice.lines.order_by("position") if line.amount]
    found = [_of_line(line) for line in lines]
    if len(found) > MOST_ITEMS:
        found = list(_grouped(lines, by_model=True))
    if len(found) > MOST_ITEMS:
        found = list(_grouped(lines, by_model=False))
    for tax in invoice.taxes.all():
        if tax.amount:
            text = f"Tax {_percent(tax.rate)} of {tax.base} {invoice.currency}"
            found.append(
                Item(f"tax:{tax.rate.normalize()}", text, tax.amount, invoice.period_start, invoice.period_end)
            )
    if invoice.credits_applied:
        text = "Prepaid credit" if invoice.credits_applied > 0 else "Carried over to your credit"
        found.append(Item("credit", text, -invoice.credits_applied, invoice.period_start, invoice.period_end))
    return found


def _of_line(line: InvoiceLine) -> Item:
    return Item(f"line:{line.position}", line.explanation[:LONGEST_TEXT], line.amount, line.start, line.end)


def _grouped(lines: list[InvoiceLine], *, by_model: bool) -> Iterator[Item]:
    """One item for each type of line, and model."""

    def group(line: InvoiceLine) -> tuple[str, str]:
        return line.type, line.model if by_model else ""

    for n, ((kind, model), rows) in enumerate(groupby(sorted(lines, key=group), key=group)):
        these = list(rows)
        named = f"{kind.replace('_', ' ').capitalize()} {model}".strip()
        amount = sum((line.amount for line in these), Decimal(0))
        start, end = min(line.start for line in these), max(line.end for line in these)
        yield Item(
            f"lines:{n}", f"{named}: {len(these)} lines, itemised on our invoice"[:LONGEST_TEXT], amount, start, end
        )


def _there(task: StripeTask, invoice: Invoice, gateway: Gateway, now: datetime) -> StripeInvoice | None:
    """What an earlier try made."""
    row = stripe_outcomes.known(stripe_outcomes.INVOICE, invoice.number)
    if row is not None:
        return gateway.invoice(row.stripe_id)
    request = task.detail.get("request")
    if task.tries == 1 or request is None:
        return None
    for made in gateway.invoices(datetime.fromisoformat(task.detail["asked_at"]), request["customer"]):
        ours = made.metadata.get(values.INSTALLATION) == stripe_tasks.installation()
        if ours and made.invoice == invoice.number and made.status != "void":
            stripe_outcomes.remember(stripe_outcomes.INVOICE, invoice.number, made.id, made.status, at=now)
            return made
    return None


def _drafted(task: StripeTask, invoice: Invoice, gateway: Gateway, now: datetime) -> StripeInvoice:
    request = task.detail.get("request")
    if request is None:
        request = _request(task, invoice, gateway, now)
        stripe_tasks.remember(task, request=request, asked_at=now.isoformat())
    made = gateway.create_invoice(request, f"{_key(task)}/draft")
    stripe_outcomes.remember(stripe_outcomes.INVOICE, invoice.number, made.id, made.status, at=now)
    return made


def _request(task: StripeTask, invoice: Invoice, gateway: Gateway, now: datetime) -> dict[str, Any]:
    customer = Customer.objects.get(tenant=invoice.tenant)
    request: dict[str, Any] = {
        "customer": stripe_customers.ensure(gateway, customer, now, found=task.tries > 1),
        "currency": invoice.currency.lower(),
        "number": invoice.number,
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": {
            values.INSTALLATION: stripe_tasks.installation(),
            values.TENANT: invoice.tenant,
            values.INVOICE: invoice.number,
        },
    }
    if customer.stripe_payment_method:
        automatic = {"default_payment_method": customer.stripe_payment_method}
        return request | {"collection_method": "charge_automatically"} | automatic
    days = max((invoice.due_on - now.date()).days, 0)
    return request | {"collection_method": "send_invoice", "days_until_due": days}


def _filled(task: StripeTask, state: InvoiceState, made: StripeInvoice, gateway: Gateway) -> StripeInvoice:
    """Add what is not on the draft yet."""
    invoice = state.invoice
    wanted = items(invoice)
    if settled := state.paid + state.credited:
        text = "Paid or credited already"
        wanted.append(Item("settled", text, -settled, invoice.period_start, invoice.period_end))
    there = gateway.items_on(made.id)
    for item in wanted:
        if item.name not in there:
            gateway.add_item(_item(item, invoice, made), f"{_key(task)}/item/{item.name}/{item.amount}")
    return gateway.invoice(made.id)


def _keep_notes(task: StripeTask, invoice: Invoice) -> None:
    """Which credit notes the draft takes into account: Stripe must not be told of them again."""
    notes = invoice.credit_notes.filter(disposition=CreditNote.Disposition.REDUCE).order_by("pk")
    stripe_tasks.remember(task, notes=list(notes.values_list("number", flat=True)))


def _item(item: Item, invoice: Invoice, made: StripeInvoice) -> dict[str, Any]:
    return {
        "customer": made.customer,
        "invoice": made.id,
        "amount": values.to_minor(item.amount, invoice.currency),
        "currency": invoice.currency.lower(),
        "description": item.text,
        "period": {"start": int(item.start.timestamp()), "end": int(item.end.timestamp())},
        "metadata": {values.LINE: item.name},
    }


def _started_over(task: StripeTask, made: StripeInvoice, expected: int, gateway: Gateway, now: datetime) -> Outcome:
    """What is due changed while the draft was filled: it is dropped, once. The second time, a person must look."""
    error = f"Stripe's draft comes to {made.total}, ours to {expected} minor units"
    if task.detail.get("turn", 0):
        return Outcome(refused=True, error=error)
    _dropped(task.ours, made, gateway)
    stripe_tasks.remember(task, request=None, turn=1)
    return Outcome(again_at=now, error=error)


def _dropped(number: str, made: StripeInvoice, gateway: Gateway) -> Outcome:
    gateway.delete_draft(made.id)
    stripe_outcomes.forget(stripe_outcomes.INVOICE, number)
    return DONE


def _collected(task: StripeTask, made: StripeInvoice, gateway: Gateway, now: datetime) -> Outcome:
    """Charge the stored payment method at once, where there is one. After a decline, Stripe's own schedule goes on."""
    if made.status == "open" and made.automatic:
        try:
            made = gateway.pay_invoice(made.id, {"off_session": True}, f"{_key(task)}/pay")
        except StripeDeclined as refusal:
            made = gateway.invoice(made.id)
            stripe_outcomes.invoice_seen(made, now, failure=str(refusal))
            return DONE
        stripe_outcomes.invoice_seen(made, now)
    if made.status == "paid":
        stripe_outcomes.payments_seen(made, gateway, now)
    return DONE


def _key(task: StripeTask) -> str:
    return f"{stripe_tasks.installation()}/{task.action}/{task.ours}/{task.detail.get('turn', 0)}"


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"
