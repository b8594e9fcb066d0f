"""Between lines as rating makes them and rows as the database keeps them."""

from collections.abc import Iterable
from decimal import Decimal

from billing import rating
from billing.models import Invoice, InvoiceLine


def rows_of(invoice: Invoice, lines: Iterable[rating.Line], origins: dict[str, Invoice]) -> list[InvoiceLine]:
    """The lines of an invoice in their order. `origins`: the invoices that adjustments correct, by number."""
    return [
        InvoiceLine(
            invoice=invoice,
            position=position,
            type=line.type.value,
            key=line.key,
            origin=origins[line.origin] if line.origin else None,
            model=line.model,
            tier=line.tier,
            operation=line.operation,
            region=line.region,
            context_over=line.context_over,
            kind=line.kind,
            start=line.start,
            end=line.end,
            quantity=line.quantity,
            included=line.included,
            unit=line.unit,
            billed=line.billed,
            charge_model=line.charge_model,
            unit_amount=line.unit_amount,
            per=line.per,
            amount_exact=_settled(line.amount_exact),
            amount=_settled(line.amount),
            residual=_settled(line.residual),
            tax_rate=line.tax_rate,
            explanation=line.explanation,
            detail=line.detail,
        )
        for position, line in enumerate(lines, start=1)
    ]


def line_of(row: InvoiceLine) -> rating.Line:
    """The line that was stored. `origin` is read where it is loaded already: callers that need it select it."""
    return rating.Line(
        type=rating.LineType(row.type),
        key=row.key,
        start=row.start,
        end=row.end,
        explanation=row.explanation,
        amount_exact=row.amount_exact,
        amount=row.amount,
        quantity=row.quantity,
        included=row.included,
        unit=row.unit,
        billed=row.billed,
        model=row.model,
        tier=row.tier,
        operation=row.operation,
        region=row.region,
        context_over=row.context_over,
        kind=row.kind,
        charge_model=row.charge_model,
        unit_amount=row.unit_amount,
        per=row.per,
        tax_rate=row.tax_rate,
        detail=row.detail,
        origin=row.origin.number if row.origin is not None else "",
    )


class LineWithoutPrice(ValueError):
    """A line without an amount cannot be on an invoice."""


def _settled(amount: Decimal | None) -> Decimal:
    """An amount of a line that has one. Drafts with others are refused before; this keeps a mistake there from passing as 0."""
    if amount is None:
        raise LineWithoutPrice("a line without a price cannot be on an invoice")
    return amount
