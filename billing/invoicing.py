"""Invoices: drafts from the ledger as of a seal, and finalising them under numbers without gaps.

A draft is a value, computed; only final invoices are in the database. What each failure leaves behind: a crash before the commit
leaves neither invoices nor used numbers; after it, everything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils import timezone

from billing import pricebook, rating, usage
from billing.contracts import Period, UsageTotals
from billing.models import Invoice, InvoiceLine, InvoiceSeries, InvoiceTax
from billing.rating import exact
from metering import public as metering
from metering.contracts import SealInfo, TenantInfo, UsageRow

TAX_RATE = Decimal(0)  # of every line, until tenants have tax rates
SERIES = "TW-{year}"
MOST = (
    10**18
)  # tokens, or units of a currency: more does not fit the columns, and must not take other tenants' invoices along
BATCH = 500  # invoices in one transaction: few commits, and the number series is never locked for long


@dataclass(frozen=True)
class Draft:
    """What an invoice would say. `lines` holds unpriced ones too; such a draft cannot be finalised."""

    tenant: str
    period: Period
    currency: str
    seal: SealInfo
    price_version: int
    lines: tuple[rating.Line, ...]
    usage: UsageTotals

    @property
    def unpriced(self) -> tuple[rating.Line, ...]:
        return tuple(line for line in self.lines if line.unpriced)

    @property
    def taxes(self) -> tuple[rating.Tax, ...]:
        return rating.taxes(((TAX_RATE, line.amount) for line in self.lines if line.amount is not None), self.currency)


@dataclass(frozen=True)
class Finalised:
    """`new` is False for an invoice that was there already."""

    invoice: Invoice
    new: bool


class DraftRefused(ValueError):
    """One tenant's usage that cannot be made into lines, with the reason."""


def drafts(period: Period, tenants: Sequence[TenantInfo], seal: SealInfo) -> dict[str, Draft | DraftRefused]:
    """The drafts of those tenants that used anything. One tenant's trouble is its own: the others get their drafts."""
    version = pricebook.current_version()
    sheets = {currency: pricebook.sheet(currency, version) for currency in {tenant.currency for tenant in tenants}}
    only = tenants[0].key if len(tenants) == 1 else None
    read = partial(_sealed, tenant=only, seal=seal)
    used = usage.by_tenant(period.start, period.end, sheets.values(), read)
    found: dict[str, Draft | DraftRefused] = {}
    for tenant in tenants:
        if tenant.key not in used:
            continue
        try:
            found[tenant.key] = _draft(tenant, period, seal, used[tenant.key], sheets[tenant.currency])
        except ValueError as error:  # a currency without a minor unit, a part larger than its whole
            found[tenant.key] = DraftRefused(str(error))
    return found


def finalise(ready: Iterable[Draft]) -> list[Finalised]:
    """Invoices of these drafts, in their order: new, or what was finalised for that tenant and period before."""
    waiting = list(ready)
    if blocked := [draft.tenant for draft in waiting if draft.unpriced]:
        raise DraftRefused(f"usage without a price: {', '.join(blocked)}")
    found = []
    for first in range(0, len(waiting), BATCH):
        found += _finalise_batch(waiting[first : first + BATCH])
    return found


def existing(period: Period, tenants: Iterable[str]) -> dict[tuple[str, str], Invoice]:
    """Final invoices of this very period, by tenant and currency."""
    rows = Invoice.objects.filter(
        period_start=period.start, period_end=period.end, tenant__in=list(tenants), finalised_at__isnull=False
    )
    return {(row.tenant, row.currency): row for row in rows}


def _sealed(start: datetime, end: datetime, *, tenant: str | None, seal: SealInfo) -> list[UsageRow]:
    return metering.sealed_usage(start, end, tenant=tenant, group_by=usage.RATED_BY, window="total", as_of=seal)


def _draft(
    tenant: TenantInfo, period: Period, seal: SealInfo, used: list[rating.Usage], sheet: rating.PriceSheet
) -> Draft:
    totals = usage.totals(used)
    if max(asdict(totals).values()) > MOST:
        raise DraftRefused(f"more than {MOST:,} tokens in {period}: that is no usage, look at what this tenant sends")
    lines = rating.rater(rating.RATING_VERSION)(used, sheet)
    if any(line.amount_exact is not None and line.amount_exact > MOST for line in lines):
        raise DraftRefused(
            f"a line of more than {MOST:,} {tenant.currency}: look at the price and at what this tenant sends"
        )
    return Draft(tenant.key, period, tenant.currency, seal, sheet.version, lines, totals)


@transaction.atomic
def _finalise_batch(batch: Sequence[Draft]) -> list[Finalised]:
    now = timezone.now()
    series = _locked_series(SERIES.format(year=now.year))  # first: what is read after it, no other finaliser changes
    known = {key: row for period in {d.period for d in batch} for key, row in _known(period, batch).items()}
    fresh = [draft for draft in batch if (draft.tenant, draft.currency, draft.period) not in known]
    invoices = [_invoice(draft, f"{series.name}-{series.last + n:06d}") for n, draft in enumerate(fresh, start=1)]
    Invoice.objects.bulk_create(invoices)
    InvoiceLine.objects.bulk_create(
        [row for invoice, draft in zip(invoices, fresh, strict=True) for row in _lines(invoice, draft)]
    )
    InvoiceTax.objects.bulk_create(
        [row for invoice, draft in zip(invoices, fresh, strict=True) for row in _taxes(invoice, draft)]
    )
    Invoice.objects.filter(pk__in=[invoice.pk for invoice in invoices]).update(
        status=Invoice.Status.OPEN, finalised_at=now
    )
    InvoiceSeries.objects.filter(pk=series.pk).update(last=series.last + len(fresh))
    made = {(row.tenant, row.currency, draft.period): row for row, draft in zip(invoices, fresh, strict=True)}
    keys = [(draft.tenant, draft.currency, draft.period) for draft in batch]
    return [Finalised(made.get(key) or known[key], key in made) for key in keys]


def _known(period: Period, batch: Sequence[Draft]) -> dict[tuple[str, str, Period], Invoice]:
    found = existing(period, [draft.tenant for draft in batch])
    return {(tenant, currency, period): row for (tenant, currency), row in found.items()}


def _locked_series(name: str) -> InvoiceSeries:
    InvoiceSeries.objects.get_or_create(name=name)
    return InvoiceSeries.objects.select_for_update().get(name=name)


def _invoice(draft: Draft, number: str) -> Invoice:
    taxes = draft.taxes
    subtotal, tax = exact.total(row.base for row in taxes), exact.total(row.amount for row in taxes)
    return Invoice(
        number=number,
        tenant=draft.tenant,
        period_start=draft.period.start,
        period_end=draft.period.end,
        currency=draft.currency,
        seal=draft.seal.id,
        watermark=draft.seal.watermark,
        price_book=pricebook.LIST,
        price_version=draft.price_version,
        rating_version=rating.RATING_VERSION,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        **asdict(draft.usage),
    )


def _lines(invoice: Invoice, draft: Draft) -> list[InvoiceLine]:
    return [
        InvoiceLine(
            invoice=invoice,
            position=position,
            model=line.model,
            tier=line.tier,
            kind=line.kind,
            start=line.start,
            end=line.end,
            quantity=line.quantity,
            billed=line.billed,
            per_million=line.per_million,
            amount_exact=_settled(line.amount_exact),
            amount=_settled(line.amount),
            residual=_settled(line.residual),
            tax_rate=TAX_RATE,
            explanation=line.explanation,
        )
        for position, line in enumerate(draft.lines, start=1)
    ]


def _settled(amount: Decimal | None) -> Decimal:
    """An amount of a line that has one. `finalise` has refused drafts with others; this keeps a mistake there from passing as 0."""
    if amount is None:
        raise DraftRefused("a line without a price cannot be on an invoice")
    return amount


def _taxes(invoice: Invoice, draft: Draft) -> list[InvoiceTax]:
    return [InvoiceTax(invoice=invoice, rate=tax.rate, base=tax.base, amount=tax.amount) for tax in draft.taxes]
