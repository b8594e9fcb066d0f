"""Credit notes: an invoice taken back in part or whole, by line and amount.

Never more than a line has left, and of the tax exactly the share that its rate's base loses: notes over all of an invoice add up to all
of its tax.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from billing import audit_log, credits, numbers, rating, settling, stripe_tasks
from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceState, InvoiceTax
from billing.rating import exact

Disposition = CreditNote.Disposition
KEY = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


class CreditNoteRefused(ValueError):
    """A credit note that cannot be issued, with the reason."""


@dataclass(frozen=True)
class Credited:
    """What is taken back of one line: `amount` before tax, positive."""

    line: InvoiceLine
    amount: Decimal


@transaction.atomic
def issue(
    number: str,
    amounts: Mapping[int, Decimal],
    *,
    reason: str,
    disposition: str,
    idempotency_key: str,
    actor: str = "command",
) -> CreditNote:
    """Take back `amounts`, by the position of the line, before tax. The same `idempotency_key` gives the same note, issued once.

    reduce: less is due. refund: what was paid goes back (Stripe is told; by hand it is recorded as gone). credit: prepaid credit grows.
    Raises settling.UnknownInvoice, CreditNoteRefused.
    """
    state = settling.locked(number)
    invoice = state.invoice
    if not KEY.match(idempotency_key):
        raise CreditNoteRefused("a credit note needs a key of at most 128 characters, without blanks")
    if (
        known := CreditNote.objects.select_related("invoice").filter(idempotency_key=idempotency_key).first()
    ) is not None:
        if known.invoice_id != invoice.pk:
            raise CreditNoteRefused(f"the key {idempotency_key!r} is that of {known.number}")
        return known
    _check(state, reason, disposition)
    credited = _credited(invoice, amounts)
    taxes = _taxes(invoice, credited)
    subtotal, tax = exact.total(each.amount for each in credited), exact.total(taxes.values())
    _check_total(state, disposition, subtotal + tax)
    note = _written(
        state,
        credited,
        subtotal=subtotal,
        tax=tax,
        reason=reason,
        disposition=disposition,
        idempotency_key=idempotency_key,
        actor=actor,
    )
    try:
        _disposed(state, note, actor)
    except credits.CreditRefused as error:  # of a top-up, what has been spent cannot go back
        raise CreditNoteRefused(str(error)) from error
    stripe_tasks.plan_credit_note(note)
    detail = {"number": note.number, "total": rating.plain(note.total), "disposition": disposition, "reason": reason}
    settling.event(invoice, "credit_note", actor, detail)
    audit_log.record(actor, "credit_note", note, None, audit_log.snapshot(note))
    return note


def left(line: InvoiceLine) -> Decimal:
    """What credit notes have left of a line, before tax."""
    gone: Decimal | None = line.credited.aggregate(sum=Sum("amount"))["sum"]
    kept: Decimal = line.amount - (gone or exact.ZERO)
    return kept


def _check(state: InvoiceState, reason: str, disposition: str) -> None:
    if not reason.strip() or len(reason) > 500:
        raise CreditNoteRefused("a credit note needs a reason of at most 500 characters: it is printed on it")
    if disposition not in Disposition.values:
        raise CreditNoteRefused(f"{disposition!r} is not one of {', '.join(Disposition.values)}")
    if state.status == settling.Status.VOID:
        raise CreditNoteRefused(f"{state.invoice.number} is void: there is nothing to take back")


def _credited(invoice: Invoice, amounts: Mapping[int, Decimal]) -> list[Credited]:
    lines = {line.position: line for line in invoice.lines.filter(position__in=list(amounts))}
    found = []
    for position, amount in sorted(amounts.items()):
        if position not in lines:
            raise CreditNoteRefused(f"{invoice.number} has no line {position}")
        if not amount.is_finite() or amount <= 0 or amount != rating.rounded(amount, invoice.currency):
            raise CreditNoteRefused(f"line {position}: {amount} is no amount of {invoice.currency}")
        if amount > left(lines[position]):
            rest = rating.plain(max(left(lines[position]), exact.ZERO))
            raise CreditNoteRefused(f"line {position} has {rest} {invoice.currency} left, not {amount}")
        found.append(Credited(lines[position], amount))
    if not found:
        raise CreditNoteRefused("a credit note needs at least one line")
    return found


def _taxes(invoice: Invoice, credited: Sequence[Credited]) -> dict[Decimal, Decimal]:
    """The tax of each rate that goes back: what that of the base is after this note, less what it was before it."""
    now: defaultdict[Decimal, Decimal] = defaultdict(Decimal)
    for each in credited:
        now[each.line.tax_rate] += each.amount
    return {tax.rate: _tax_back(invoice, tax, now[tax.rate]) for tax in invoice.taxes.filter(rate__in=list(now))}


def _tax_back(invoice: Invoice, tax: InvoiceTax, amount: Decimal) -> Decimal:
    lines = CreditNoteLine.objects.filter(note__invoice=invoice, tax_rate=tax.rate)
    before: Decimal = lines.aggregate(sum=Sum("amount"))["sum"] or exact.ZERO
    if before + amount > tax.base:  # discounts and credits stand against the lines
        rest = rating.plain(tax.base - before)
        raise CreditNoteRefused(f"{rest} {invoice.currency} before tax is left of {invoice.number}, not {amount}")
    return _share(invoice, tax, before + amount) - _share(invoice, tax, before)


def _share(invoice: Invoice, tax: InvoiceTax, base: Decimal) -> Decimal:
    """The part of a tax that belongs to a part of its base."""
    return tax.amount if base == tax.base else rating.rounded(exact.times(base, tax.rate), invoice.currency)


def _check_total(state: InvoiceState, disposition: str, total: Decimal) -> None:
    invoice = state.invoice
    if disposition == Disposition.REDUCE:
        most, what = settling.outstanding(state), "is due"
    elif disposition == Disposition.REFUND:
        most, what = min(_kept(state), _refundable(invoice)), "of what was paid is there"
    else:
        most, what = _kept(state), "of what was settled is there"
    if total > most:
        rest = rating.plain(max(most, exact.ZERO))
        raise CreditNoteRefused(f"{rest} {invoice.currency} {what} on {invoice.number}, not {rating.plain(total)}")


def _kept(state: InvoiceState) -> Decimal:
    """What was paid, by money or by credit, and has not gone back by a note."""
    back = state.invoice.credit_notes.exclude(disposition=Disposition.REDUCE).aggregate(sum=Sum("total"))["sum"]
    kept: Decimal = state.paid + max(state.invoice.credits_applied, exact.ZERO) - (back or exact.ZERO)
    return kept


def _refundable(invoice: Invoice) -> Decimal:
    return exact.total(settling.refundable(payment) for payment in invoice.payments.all())


def _written(
    state: InvoiceState,
    credited: Sequence[Credited],
    *,
    subtotal: Decimal,
    tax: Decimal,
    reason: str,
    disposition: str,
    idempotency_key: str,
    actor: str,
) -> CreditNote:
    today = timezone.now().date()
    (number,) = numbers.take_numbers(1, year=today.year, series=numbers.CREDIT_NOTES)
    note = CreditNote.objects.create(
        number=number,
        invoice=state.invoice,
        reason=reason,
        disposition=disposition,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        idempotency_key=idempotency_key,
        issued_on=today,
        created_by=actor,
    )
    CreditNoteLine.objects.bulk_create(
        CreditNoteLine(
            note=note,
            line=each.line,
            amount=each.amount,
            tax_rate=each.line.tax_rate,
            explanation=_explanation(each, state.invoice.currency),
        )
        for each in credited
    )
    return note


def _explanation(each: Credited, currency: str) -> str:
    text = f"{rating.plain(each.amount)} of {rating.plain(each.line.amount)} {currency} of line {each.line.position}: "
    return (text + each.line.explanation)[:500]


def _disposed(state: InvoiceState, note: CreditNote, actor: str) -> None:
    """What the note does besides saying so. `state` is locked."""
    if note.disposition == Disposition.REDUCE:
        state.credited += note.total
        settling.settle(state, actor)
    elif note.disposition == Disposition.REFUND:
        credits.take_back(note, actor=actor)  # of a top-up: the credit goes with the money
        _refund(state.invoice, note, actor)
    else:
        credits.carry_note(note, actor=actor)


def _refund(invoice: Invoice, note: CreditNote, actor: str) -> None:
    """From the newest payment on."""
    rest = note.total
    for payment in invoice.payments.order_by("-pk"):
        amount = min(rest, settling.refundable(payment))
        if amount > 0:
            reference = f"{note.number}/{payment.pk}"
            settling.record_refund(payment.reference, amount, reference, reason=note.reason, note=note, actor=actor)
            rest -= amount
