"""Recomputing an invoice from raw events, as of the watermark and with the versions that are stored on it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from billing import pricebook, rating, usage
from billing.models import Invoice, InvoiceLine
from billing.rating import exact
from metering import public as metering
from metering.contracts import SealInfo, UsageRow

_LINE_FIELDS = ("end", "quantity", "per_million", "amount_exact", "amount", "residual")


class UnknownInvoice(LookupError):
    """There is no invoice of that number."""


@dataclass(frozen=True)
class AuditReport:
    """`differences` name each place, the ledger's first; empty if everything agrees."""

    invoice: Invoice
    lines: int
    differences: tuple[str, ...]


def audit(number: str) -> AuditReport:
    """Raises UnknownInvoice, or ValueError for an invoice made by a rating version that this installation does not have."""
    invoice = Invoice.objects.filter(number=number).first()
    if invoice is None:
        raise UnknownInvoice(f"there is no invoice {number!r}")
    seal = SealInfo(invoice.seal, invoice.watermark, invoice.created_at)
    sheet = pricebook.sheet(invoice.currency, invoice.price_version)
    used = _recomputed_usage(invoice, seal, sheet)
    lines = rating.rater(invoice.rating_version)(used, sheet)
    stored = list(invoice.lines.all())
    differences = (
        *_ledger(invoice, seal),
        *_usage(invoice, used),
        *_lines(stored, lines),
        *_totals(invoice, stored, lines),
    )
    return AuditReport(invoice, len(stored), differences)


def _recomputed_usage(invoice: Invoice, seal: SealInfo, sheet: rating.PriceSheet) -> list[rating.Usage]:
    read = partial(_raw, tenant=invoice.tenant, seal=seal)
    return usage.by_tenant(invoice.period_start, invoice.period_end, [sheet], read).get(invoice.tenant, [])


def _raw(start: datetime, end: datetime, *, tenant: str, seal: SealInfo) -> list[UsageRow]:
    return metering.raw_usage(start, end, tenant=tenant, group_by=usage.RATED_BY, window="total", as_of=seal)


def _ledger(invoice: Invoice, seal: SealInfo) -> Iterator[str]:
    found = metering.ledger_differences(invoice.period_start, invoice.period_end, tenant=invoice.tenant, as_of=seal)
    for row in found:
        where = " ".join(f"{name}={value}" for name, value in row.dimensions.items() if value != "")
        yield (
            f"ledger, bucket {row.bucket:%Y-%m-%dT%H:%MZ}, tenant={row.tenant} {where}: "
            f"{row.measure} is {row.ledger}, raw events give {row.raw}"
        )


def _usage(invoice: Invoice, used: list[rating.Usage]) -> Iterator[str]:
    for name, value in asdict(usage.totals(used)).items():
        if getattr(invoice, name) != value:
            yield f"invoice, {name}: stored {getattr(invoice, name)}, recomputed {value}"


def _lines(stored: list[InvoiceLine], lines: tuple[rating.Line, ...]) -> Iterator[str]:
    kept, made = {_key(line): line for line in stored}, {_key(line): line for line in lines}
    for key, row in kept.items():
        where = f"line {row.position} ({_named(row)})"
        if key not in made:
            yield f"{where}: stored with {row.quantity} tokens and amount {row.amount}, recomputed: no such line"
            continue
        for name in _LINE_FIELDS:
            before, now = getattr(row, name), getattr(made[key], name)
            if before != now:
                yield f"{where}, {name}: stored {_shown(before)}, recomputed {_shown(now)}"
    for key, line in made.items():
        if key not in kept:
            yield f"line missing ({_named(line)}): recomputed {line.quantity} tokens and amount {_shown(line.amount)}"


def _totals(invoice: Invoice, stored: list[InvoiceLine], lines: tuple[rating.Line, ...]) -> Iterator[str]:
    """Recomputed amounts under the stored tax rates, against the stored taxes and totals."""
    rates = {_key(line): line.tax_rate for line in stored}
    amounts = [(rates[_key(line)], line.amount) for line in lines if line.amount is not None and _key(line) in rates]
    taxes = rating.taxes(amounts, invoice.currency)
    kept = {tax.rate: tax for tax in invoice.taxes.all()}
    for tax in taxes:
        held = kept.pop(tax.rate, None)
        before = (held.base, held.amount) if held else None
        if before != (tax.base, tax.amount):
            shown = f"base {_shown(before[0])}, amount {_shown(before[1])}" if before else "none"
            yield f"tax at {_shown(tax.rate)}: stored {shown}, recomputed base {tax.base}, amount {tax.amount}"
    yield from (f"tax at {_shown(rate)}: stored, recomputed none" for rate in kept)
    subtotal, owed = exact.total(tax.base for tax in taxes), exact.total(tax.amount for tax in taxes)
    for name, value in (("subtotal", subtotal), ("tax", owed), ("total", subtotal + owed)):
        if getattr(invoice, name) != value:
            yield f"invoice, {name}: stored {_shown(getattr(invoice, name))}, recomputed {_shown(value)}"


def _key(line: InvoiceLine | rating.Line) -> tuple[object, ...]:
    return (line.model, line.tier, str(line.kind), line.billed, line.start)


def _named(line: InvoiceLine | rating.Line) -> str:
    tier = f", tier {line.tier}" if line.tier else ""
    return f"model {line.model}{tier}, {line.kind}, from {line.start:%Y-%m-%dT%H:%MZ}{'' if line.billed else ', not billed'}"


def _shown(value: object) -> str:
    """Decimals without the zeros that the database pads them with."""
    return rating.plain(value) if isinstance(value, Decimal) else str(value)
