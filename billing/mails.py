"""E-mail to customers: invoices with their PDF, and reminders. Nothing is sent without a sender (TALLYWATT_EMAIL_FROM)."""

import logging
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from billing import documents, rating, settling
from billing.models import Customer, Invoice, InvoiceState

logger = logging.getLogger(__name__)

SEND_WITHIN = timedelta(days=3)


class MailRefused(ValueError):
    """A mail that cannot be sent, with the reason."""


def possible() -> bool:
    return bool(settings.EMAIL_FROM)


def addresses(invoice: Invoice) -> list[str]:
    """Where mails about an invoice go: the customer's addresses of now, else those that are copied on it."""
    now = Customer.objects.filter(tenant=invoice.tenant).values_list("emails", flat=True).first()
    return list(now or invoice.buyer.get("emails") or ())


@transaction.atomic
def send_invoice(number: str, *, actor: str, again: bool = True) -> bool:
    """Send an invoice with its PDF. `again` False: not if it was sent before. Whether it was sent now.

    Raises settling.UnknownInvoice, MailRefused without a sender or an address.
    """
    state = settling.locked(number)  # of two workers one waits, and then finds it sent
    invoice = state.invoice
    if not again and invoice.events.filter(type="sent").exists():
        return False
    if not possible():
        raise MailRefused("no sender is set: TALLYWATT_EMAIL_FROM")
    to = addresses(invoice)
    if not to:
        raise MailRefused(f"{invoice.tenant} has no e-mail address")
    settling.event(invoice, "sent", actor, {"to": to})
    message = _message(invoice, to, f"Invoice {number}", _invoice_text(state))
    message.attach(f"{number}.pdf", documents.pdf(number), "application/pdf")
    message.send()
    return True


def send_unsent(now: datetime) -> list[str]:
    """Send every invoice of the last days that was never sent and whose customer has an address. One that fails keeps none of the others.

    Older ones were made when nothing was sent: mailing them all when a sender is first set would surprise everybody.
    """
    if not possible():
        return []
    rows = Invoice.objects.filter(finalised_at__gte=now - SEND_WITHIN, finalised_at__lte=now)
    rows = rows.exclude(state__status=InvoiceState.Status.VOID).exclude(events__type="sent").order_by("pk")
    return [row.number for row in rows if addresses(row) and _sent(row.number)]


def _sent(number: str) -> bool:
    try:
        return send_invoice(number, actor=settling.SCHEDULE, again=False)
    except (
        Exception
    ):  # a mail server in trouble, an address it refuses: tried again at the next run, for as long as it is new
        logger.exception("%s was not sent", number)
        return False


def send_reminder(state: InvoiceState, step: int, to: list[str]) -> None:
    """`step`: days after the due date. The PDF is attached again: nobody has to look for it."""
    invoice = state.invoice
    days = (timezone.now().date() - invoice.due_on).days
    when = (
        "is due today" if days == 0 else f"was due on {invoice.due_on}" if days > 0 else f"is due on {invoice.due_on}"
    )
    text = (
        f"Invoice {invoice.number} of {invoice.issued_on} {when}.\n\n"
        f"Still to be paid: {_money(settling.outstanding(state), invoice.currency)}\n\n{_how_to_pay(invoice)}"
        "If you have paid in the meantime, nothing is left for you to do.\n"
    )
    subject = f"Reminder: invoice {invoice.number} {when}" if step >= 0 else f"Invoice {invoice.number} {when}"
    message = _message(invoice, to, subject, text)
    message.attach(f"{invoice.number}.pdf", documents.pdf(invoice.number), "application/pdf")
    message.send()


def _message(invoice: Invoice, to: list[str], subject: str, text: str) -> EmailMessage:
    name = invoice.seller.get("name", "")
    signed = f"{text}\n{name}\n" if name else text
    reply_to = [invoice.seller["email"]] if invoice.seller.get("email") else None
    return EmailMessage(subject, signed, settings.EMAIL_FROM, to, reply_to=reply_to)


def _invoice_text(state: InvoiceState) -> str:
    invoice = state.invoice
    period = f"{invoice.period_start:%Y-%m-%d} to {invoice.period_end:%Y-%m-%d}"
    lines = [f"Invoice {invoice.number} for {period}", "", f"Total: {_money(invoice.total, invoice.currency)}"]
    if invoice.credits_applied > 0:
        lines.append(f"Paid from your credit: {_money(invoice.credits_applied, invoice.currency)}")
    if settling.outstanding(state) > 0:
        lines.append(f"Due by {_day(invoice.due_on)}: {_money(settling.outstanding(state), invoice.currency)}")
    return "\n".join([*lines, "", _how_to_pay(invoice)])


def _how_to_pay(invoice: Invoice) -> str:
    iban = invoice.seller.get("iban")
    if not iban or invoice.buyer.get("collection", Customer.Collection.MANUAL) != Customer.Collection.MANUAL:
        return ""
    return f"Please pay to {iban}, reference {invoice.number}.\n\n"


def _money(amount: Decimal, currency: str) -> str:
    return f"{rating.rounded(amount, currency):,f} {currency}"


def _day(day: date) -> str:
    return f"{day:%Y-%m-%d}"
