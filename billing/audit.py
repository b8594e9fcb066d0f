"""Recomputing an invoice from raw events, as of the watermark and with the versions that are stored on it.

Everything on it is made again and compared: what the ledger holds against the events, usage, fees, discounts, commitment, late usage of
earlier periods, service credits, the credit that was spent, taxes, totals, and the digest of its requests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal

from billing import adjustments, credits, digests, rating, rerating, service_levels, usage
from billing.adjustments import Late
from billing.credits import Applied, Charges
from billing.invoice_rows import line_of
from billing.invoicing import cells_of, sums
from billing.models import Invoice
from billing.rating import Line, LineType, exact
from billing.settling import UnknownInvoice
from billing.usage import Metered
from metering import public as metering

_LINE_FIELDS = (
    "model",
    "tier",
    "operation",
    "region",
    "context_over",
    "kind",
    "start",
    "end",
    "quantity",
    "included",
    "unit",
    "billed",
    "unit_amount",
    "per",
    "amount_exact",
    "amount",
    "residual",
    "tax_rate",
)


@dataclass(frozen=True)
class AuditReport:
    """`differences` name each place, the ledger's first; empty if everything agrees."""

    invoice: Invoice
    lines: int
    differences: tuple[str, ...]


def audit(number: str) -> AuditReport:
    """Raises UnknownInvoice, or ValueError for an invoice made by a rating version that this installation does not have."""
    invoice = Invoice.objects.filter(number=number, finalised_at__isnull=False).first()
    if invoice is None:
        raise UnknownInvoice(f"there is no invoice {number!r}")
    stored = [line_of(row) for row in invoice.lines.select_related("origin")]
    if invoice.kind == Invoice.Kind.TOP_UP:  # it bills no usage: what can be checked is that it adds up
        return AuditReport(invoice, len(stored), tuple(_totals(invoice, stored, Applied())))
    basis = rerating.bases([invoice])[invoice.pk]
    differences = list(_ledger(invoice))
    cut_at = credits.cut_at(number)
    metered = _metered(basis, cut_at, ledger_agrees=not differences)
    lines = _lines_again(basis, metered)
    applied = credits.again(_charges(basis, metered, lines, cut_at))
    every = (*lines, *applied.lines)
    differences += _usage(invoice, metered)
    differences += _lines(stored, every)
    differences += _totals(invoice, every, applied)
    differences += _digest(invoice)
    return AuditReport(invoice, len(stored), tuple(differences))


def _metered(basis: rerating.Basis, cut_at: Iterable[datetime], *, ledger_agrees: bool) -> Metered:
    """From raw events. Where the ledger agrees with them in every bucket, from the ledger: that is the same, and read once."""
    invoice = basis.invoice
    cuts, seal = basis.cuts(cut_at), rerating.seal_of(invoice)
    if ledger_agrees:
        return usage.sealed([invoice.tenant], cuts, basis.sheet, seal).get(invoice.tenant, usage.NOTHING)
    return usage.raw(invoice.tenant, cuts, basis.sheet, seal)


def _lines_again(basis: rerating.Basis, metered: Metered) -> tuple[Line, ...]:
    """All lines but those of credit, under the tax rate that the invoice carries."""
    invoice = basis.invoice
    own = basis.lines(metered)
    late = adjustments.of_tenants([invoice.tenant], Late(rerating.seal_of(invoice)), before=invoice)
    corrections = late[invoice.tenant].lines if invoice.tenant in late else ()
    lines = (*own, *service_levels.of_invoice(basis, metered), *corrections)
    rate = _tax_rate(invoice)
    return tuple(replace(line, tax_rate=rate) for line in lines) if rate else lines


def _tax_rate(invoice: Invoice) -> Decimal:
    """One for all of an invoice: what the treatment of its customer gave when it was made."""
    first = invoice.taxes.order_by("-rate").first()
    return exact.ZERO if first is None else first.rate


def _charges(basis: rerating.Basis, metered: Metered, lines: tuple[Line, ...], cut_at: tuple[datetime, ...]) -> Charges:
    invoice = basis.invoice
    period = rerating.period_of(invoice)
    cells = cells_of(
        agreement=basis.agreement, period=period, metered=metered, lines=lines, sheet=basis.sheet, cut_at=cut_at
    )
    return Charges(invoice.number, invoice.tenant, invoice.currency, period.start, period.end, lines, cells, cut_at)


def _ledger(invoice: Invoice) -> Iterator[str]:
    found = metering.ledger_differences(
        invoice.period_start, invoice.period_end, tenant=invoice.tenant, as_of=rerating.seal_of(invoice)
    )
    for row in found:
        where = " ".join(f"{name}={value}" for name, value in row.dimensions.items() if value != "")
        yield (
            f"ledger, bucket {row.bucket:%Y-%m-%dT%H:%MZ}, tenant={row.tenant} {where}: "
            f"{row.measure} is {row.ledger}, raw events give {row.raw}"
        )


def _usage(invoice: Invoice, metered: Metered) -> Iterator[str]:
    for name, value in asdict(usage.totals(metered.usages)).items():
        if getattr(invoice, name) != value:
            yield f"invoice, {name}: stored {getattr(invoice, name)}, recomputed {value}"


def _lines(stored: Iterable[Line], lines: Iterable[Line]) -> Iterator[str]:
    kept, made = {_key(line): line for line in stored}, {_key(line): line for line in lines}
    for position, (key, line) in enumerate(kept.items(), start=1):
        where = f"line {position} ({_named(line)})"
        if key not in made:
            yield f"{where}: stored with {_amounts(line)}, recomputed: no such line"
            continue
        for name in _LINE_FIELDS:
            before, now = getattr(line, name), getattr(made[key], name)
            if before != now:
                yield f"{where}, {name}: stored {_shown(before)}, recomputed {_shown(now)}"
    for key, line in made.items():
        if key not in kept:
            yield f"line missing ({_named(line)}): recomputed {_amounts(line)}"


def _totals(invoice: Invoice, lines: Iterable[Line], applied: Applied) -> Iterator[str]:
    """Recomputed amounts, taxes and credit against the stored ones."""
    owed = sums(lines, invoice.currency)
    kept = {tax.rate: tax for tax in invoice.taxes.all()}
    for tax in owed.taxes:
        held = kept.pop(tax.rate, None)
        before = (held.base, held.amount) if held else None
        if before != (tax.base, tax.amount):
            shown = f"base {_shown(before[0])}, amount {_shown(before[1])}" if before else "none"
            yield f"tax at {_shown(tax.rate)}: stored {shown}, recomputed base {tax.base}, amount {tax.amount}"
    yield from (f"tax at {_shown(rate)}: stored, recomputed none" for rate in kept)
    again = {
        "subtotal": owed.subtotal,
        "tax": owed.tax,
        "total": owed.total,
        "credits_applied": applied.credits_applied,
        "amount_due": exact.minus(owed.total, applied.credits_applied),
    }
    for name, value in again.items():
        if getattr(invoice, name) != value:
            yield f"invoice, {name}: stored {_shown(getattr(invoice, name))}, recomputed {_shown(value)}"


def _digest(invoice: Invoice) -> Iterator[str]:
    """Of invoices that carry one: those made before digests do not."""
    if not invoice.usage_root:
        return
    root, leaves = digests.root(invoice)
    if (root, leaves) != (invoice.usage_root, invoice.usage_leaves):
        yield (
            f"invoice, digest of its requests: stored {invoice.usage_root} over {invoice.usage_leaves:,}, "
            f"recomputed {root} over {leaves:,}"
        )


def _key(line: Line) -> tuple[object, ...]:
    return (line.type, line.origin, line.key)


def _named(line: Line) -> str:
    of = f" of {line.origin}" if line.origin else ""
    if line.type not in {LineType.USAGE, LineType.ADJUSTMENT} or not line.model:
        return f"{line.type}{of}, {line.explanation}"
    tier = f", tier {line.tier}" if line.tier else ""
    free = "" if line.billed else ", not billed"
    kind = "" if line.type is LineType.USAGE else f"{line.type}{of}, "
    return f"{kind}model {line.model}{tier}, {line.kind}, from {line.start:%Y-%m-%dT%H:%MZ}{free}"


def _amounts(line: Line) -> str:
    return f"{_shown(line.quantity)} {line.unit} and amount {_shown(line.amount)}"


def _shown(value: object) -> str:
    """Decimals without the zeros that the database pads them with."""
    return rating.plain(value) if isinstance(value, Decimal) else str(value)
