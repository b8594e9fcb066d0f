"""Taking an invoice back whole, and making it anew. The void one keeps its number and its rows; the new one says what it replaces."""

from django.db import transaction
from django.utils import timezone

from billing import (
    adjustments,
    audit_log,
    credits,
    digests,
    finalising,
    pricebook,
    rating,
    runs,
    settling,
    stripe_tasks,
)
from billing.agreements import Agreed, Due, agreements
from billing.contracts import Period
from billing.finalising import DraftBlocked, DraftStale
from billing.invoicing import Draft, key_of
from billing.models import Invoice, InvoiceState
from billing.settling import Status
from metering import public as metering
from metering.contracts import TenantInfo


class VoidRefused(ValueError):
    """An invoice that cannot be made void, with the reason."""


@transaction.atomic
def void(number: str, *, actor: str = "command", reason: str) -> Invoice:
    """Nothing is due on it any more, the credit that it used is free again. Its period is billed anew by `reissue` alone.

    Refused for what was paid or credited in part (a credit note is the way then), and while a later invoice corrects it: that one's
    correction would stand on nothing. Raises settling.UnknownInvoice, VoidRefused.
    """
    state = settling.locked(number)
    invoice = state.invoice
    if not reason.strip() or len(reason) > 500:
        raise VoidRefused("making an invoice void needs a reason of at most 500 characters")
    _check(state)
    before = state.status
    state.status = Status.VOID
    state.save()
    try:
        credits.release(invoice, actor=actor)
    except credits.CreditRefused as error:  # what it carried over has been spent
        raise VoidRefused(str(error)) from error
    stripe_tasks.plan_void(invoice)
    settling.event(invoice, "void", actor, {"reason": reason, "total": rating.plain(invoice.total)})
    audit_log.record(actor, "void", invoice, {"status": before}, {"status": Status.VOID.value, "reason": reason})
    return invoice


def _check(state: InvoiceState) -> None:
    invoice = state.invoice
    if state.status == Status.VOID:
        raise VoidRefused(f"{invoice.number} is void already")
    if invoice.payments.exists():
        raise VoidRefused(f"{invoice.number} has payments: issue a credit note instead")
    if invoice.credit_notes.exists():
        raise VoidRefused(f"{invoice.number} has credit notes: issue another for what is left")
    later = corrected_by(invoice)
    if later:
        raise VoidRefused(f"{', '.join(later)} bills late usage of {invoice.number}: make that void first")
    if invoice.lines.filter(type=rating.LineType.ADJUSTMENT).exists() and (newer := _newer(invoice)):
        raise VoidRefused(f"{invoice.number} bills late usage that {newer} builds on: make that void first")


def _newer(invoice: Invoice) -> str | None:
    """The newest invoice of the tenant, not void, that was made after this one: it looked only at what came later still."""
    rows = Invoice.objects.filter(tenant=invoice.tenant, kind=Invoice.Kind.USAGE, pk__gt=invoice.pk)
    return rows.exclude(state__status=Status.VOID).order_by("-pk").values_list("number", flat=True).first()


def corrected_by(invoice: Invoice) -> list[str]:
    """The invoices that are not void and have adjustments of this one."""
    rows = Invoice.objects.filter(lines__origin=invoice).exclude(state__status=Status.VOID)
    return list(rows.distinct().order_by("number").values_list("number", flat=True))


def reissue(number: str, *, actor: str = "command", wait_s: float = 60) -> Invoice:
    """Bill the period of a void invoice anew: everything that is known by now, at the prices and under the contract of now.

    Twice is once: the invoice that took its place is returned. Raises settling.UnknownInvoice, VoidRefused, or metering's SealHeld.
    """
    void_one = _to_replace(number)
    tenant = metering.tenant(void_one.tenant)
    seal = metering.seal_everything_before(timezone.now(), wait_s=wait_s).seal
    if tenant is None or seal is None:
        raise VoidRefused(f"{number} cannot be made anew: its tenant or its usage is gone")
    period = Period(void_one.period_start, void_one.period_end)
    for _ in range(runs.TRIES):
        due = Due(tenant, period, _agreed(tenant, period))
        drafts = runs.prepared([due], seal, pricebook.current_versions(), adjustments.Late(seal))
        draft = drafts.get(key_of(due))
        if not isinstance(draft, Draft):
            raise VoidRefused(f"{number} cannot be made anew: {draft or 'there is nothing to bill'}")
        try:
            (made,) = finalising.finalise(digests.rooted([draft]), actor=actor, replaces=void_one)
        except DraftBlocked as error:
            raise VoidRefused(str(error)) from error
        except DraftStale:
            continue
        if made.new:
            audit_log.record(actor, "reissue", made.invoice, None, {"replaces": number, "total": made.invoice.total})
        return made.invoice
    raise VoidRefused(f"the contract of {void_one.tenant} is being changed: try again")


def _to_replace(number: str) -> Invoice:
    invoice = Invoice.objects.select_related("state").filter(number=number, finalised_at__isnull=False).first()
    if invoice is None:
        raise settling.UnknownInvoice(f"there is no invoice {number!r}")
    if invoice.state.status != Status.VOID:
        raise VoidRefused(f"{number} is not void: only a void invoice is made anew")
    if invoice.kind != Invoice.Kind.USAGE:
        raise VoidRefused(f"{number} sold credit: sell it again")
    return invoice


def _agreed(tenant: TenantInfo, period: Period) -> Agreed:
    found = agreements([tenant], period.start)[tenant.key]
    if found.period != period:  # a contract that began or ended within it since: the next run bills those periods
        raise VoidRefused(f"what is agreed with {tenant.key} has other periods by now, such as {found.period}")
    return found
