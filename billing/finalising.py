"""Finalising: invoices of drafts, under numbers without gaps, with the credit that they use, in one transaction for some hundreds.

What each failure leaves behind: a crash before the commit leaves neither invoices nor used numbers nor spent credit; after it, everything.
Two that finalise the same period wait for each other at the series of numbers, and the second finds the first one's invoices.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from django.db import transaction
from django.utils import timezone

from billing import adjustments, agreements, credits, invoice_rows, numbers, parties, rating, stripe_tasks
from billing.contracts import Period
from billing.credits import Applied, Charges
from billing.invoicing import Draft, Key, sums
from billing.models import Invoice, InvoiceEvent, InvoiceLine, InvoiceRun, InvoiceState, InvoiceTax
from billing.rating import exact

BATCH = 500  # invoices in one transaction: few commits, and the number series is never locked for long


@dataclass(frozen=True)
class Finalised:
    """`new` is False for an invoice that was there already."""

    invoice: Invoice
    new: bool


class DraftBlocked(ValueError):
    """A draft with usage that has no price."""


class DraftStale(RuntimeError):
    """Since these tenants' drafts were made, something that they stand on has changed: they are to be drafted anew."""

    def __init__(self, tenants: Collection[str]) -> None:
        super().__init__(f"drafts are out of date: {', '.join(sorted(tenants))}")
        self.tenants = frozenset(tenants)


@transaction.atomic
def finalise(
    batch: Sequence[Draft], *, run: InvoiceRun | None = None, actor: str = "command", replaces: Invoice | None = None
) -> list[Finalised]:
    """Invoices of these drafts, in their order: new, or what was finalised for that tenant and period before.

    `replaces`: the void invoice in whose place the one draft comes. Raises DraftBlocked, DraftStale.
    """
    if blocked := [draft.tenant for draft in batch if draft.unpriced]:
        raise DraftBlocked(f"usage without a price: {', '.join(blocked)}")
    today = timezone.now().date()
    numbers.locked(numbers.INVOICES, today.year)  # first: what is read after it, no other finaliser changes
    known = existing(draft.key for draft in batch)
    if replaces:  # of the editions of a period only the newest is replaced
        known = {key: row for key, row in known.items() if row.pk != replaces.pk}
    fresh = [draft for draft in batch if draft.key not in known]
    _refuse_stale(fresh)
    made = _made(fresh, today, run, actor, replaces) if fresh else {}
    return [Finalised(made.get(draft.key) or known[draft.key], draft.key in made) for draft in batch]


def existing(keys: Iterable[Key]) -> dict[Key, Invoice]:
    """Final invoices of these very periods, the newest edition of each, whether void or not."""
    wanted = set(keys)
    rows = Invoice.objects.filter(
        kind=Invoice.Kind.USAGE,
        finalised_at__isnull=False,
        tenant__in={tenant for tenant, _, _ in wanted},
        period_start__in={period.start for _, period, _ in wanted},
    )
    found = {}
    for row in rows.select_related("state").order_by("edition"):
        key = (row.tenant, Period(row.period_start, row.period_end), row.currency)
        if key in wanted:
            found[key] = row
    return found


def _refuse_stale(batch: Sequence[Draft]) -> None:
    """Another finaliser may have billed what is late, and somebody may have changed a contract, between drafting and the lock."""
    stale: set[str] = set()
    for layer in _layers(batch):
        stale |= agreements.changed_since({tenant: draft.agreed for tenant, draft in layer.items()})
    counts = adjustments.corrections(number for draft in batch for number in draft.corrected)
    for draft in batch:
        if any(counts.get(number, 0) != before for number, before in draft.corrected.items()):
            stale.add(draft.tenant)
    if stale:
        raise DraftStale(stale)


def _layers(batch: Sequence[Draft]) -> list[dict[str, Draft]]:
    """Each tenant at most once in a layer. There are as many as the most periods of one tenant."""
    found: list[dict[str, Draft]] = []
    for draft in batch:
        free = next((layer for layer in found if draft.tenant not in layer), None)
        if free is None:
            found.append(free := {})
        free[draft.tenant] = draft
    return found


def _made(
    fresh: Sequence[Draft], today: date, run: InvoiceRun | None, actor: str, replaces: Invoice | None
) -> dict[Key, Invoice]:
    taken = numbers.take_numbers(len(fresh), year=today.year)
    named = list(zip(taken, fresh, strict=True))
    applied = credits.apply_to_drafts([_charges(number, draft) for number, draft in named])
    seller = parties.seller_copy()
    invoices = [
        _invoice(number, draft, applied[number], seller=seller, today=today, run=run, replaces=replaces)
        for number, draft in named
    ]
    Invoice.objects.bulk_create(invoices)
    _write_parts(invoices, fresh, applied)
    Invoice.objects.filter(pk__in=[row.pk for row in invoices]).update(finalised_at=timezone.now())
    InvoiceState.objects.bulk_create(InvoiceState(invoice=row, status=_first_status(row)) for row in invoices)
    InvoiceEvent.objects.bulk_create(
        InvoiceEvent(invoice=row, type="finalised", actor=actor, detail={"run": run.pk} if run else {})
        for row in invoices
    )
    stripe_tasks.plan(*invoices)
    return {draft.key: row for row, draft in zip(invoices, fresh, strict=True)}


def _charges(number: str, draft: Draft) -> Charges:
    period = draft.period
    return Charges(
        number, draft.tenant, draft.currency, period.start, period.end, draft.lines, draft.cells, draft.cut_at
    )


def _write_parts(invoices: Sequence[Invoice], drafts: Sequence[Draft], applied: Mapping[str, Applied]) -> None:
    origins = Invoice.objects.filter(number__in={number for draft in drafts for number in draft.corrected})
    by_number = {row.number: row for row in origins}
    lines, taxes = [], []
    for invoice, draft in zip(invoices, drafts, strict=True):
        every = (*draft.lines, *applied[invoice.number].lines)
        lines += invoice_rows.rows_of(invoice, every, by_number)
        taxes += [
            InvoiceTax(invoice=invoice, rate=tax.rate, base=tax.base, amount=tax.amount)
            for tax in sums(every, draft.currency).taxes
        ]
    InvoiceLine.objects.bulk_create(lines, batch_size=2000)
    InvoiceTax.objects.bulk_create(taxes)


def _invoice(
    number: str,
    draft: Draft,
    applied: Applied,
    *,
    seller: dict[str, object],
    today: date,
    run: InvoiceRun | None,
    replaces: Invoice | None,
) -> Invoice:
    agreed = draft.agreed
    owed = sums((*draft.lines, *applied.lines), draft.currency)
    return Invoice(
        number=number,
        tenant=draft.tenant,
        contract=agreed.contract,
        contract_revision=agreed.revision,
        time_zone=agreed.zone.key,
        period_start=draft.period.start,
        period_end=draft.period.end,
        currency=draft.currency,
        edition=replaces.edition + 1 if replaces else 0,
        replaces=replaces,
        run=run,
        seal=draft.seal.id,
        watermark=draft.seal.watermark,
        price_versions=dict(draft.price_versions),
        rating_version=rating.RATING_VERSION,
        usage_root=draft.root,
        usage_leaves=draft.leaves,
        seller=seller,
        buyer=parties.buyer_copy(agreed.customer),
        tax_category=agreed.tax.category,
        tax_note=agreed.tax.note,
        subtotal=owed.subtotal,
        tax=owed.tax,
        total=owed.total,
        credits_applied=applied.credits_applied,
        amount_due=exact.minus(owed.total, applied.credits_applied),
        issued_on=today,
        due_on=today + timedelta(days=agreed.customer.payment_terms_days),
        **asdict(draft.usage),
    )


def _first_status(invoice: Invoice) -> str:
    """Nothing to pay: credit covered all of it, or there was nothing to charge."""
    return InvoiceState.Status.OPEN if invoice.amount_due > 0 else InvoiceState.Status.PAID
