"""The line of a commitment that usage did not meet: the true-up to what was committed."""

from decimal import Decimal
from fractions import Fraction

from billing.rating import exact
from billing.rating.keys import line_key
from billing.rating.lines import Line, LineType
from billing.rating.rounding import rounded, settled
from billing.rating.terms import Agreement


def committed(agreement: Agreement) -> Fraction:
    """The least that usage costs: of each active stretch its share of the period's days."""
    active = [stretch for stretch in agreement.stretches if stretch.terms.active]
    parts = (exact.fraction_of(stretch.terms.commitment, stretch.days, agreement.period_days) for stretch in active)
    return sum(parts, Fraction(0))


def true_up(agreement: Agreement, usage: Decimal, currency: str, tax_rate: Decimal) -> Line | None:
    """`usage`: what all usage of the period costs, after discounts. None where that is enough."""
    least = committed(agreement)
    missing = least - Fraction(usage)
    if missing <= 0:
        return None
    amount_exact, amount = settled(missing, currency)
    active = [stretch for stretch in agreement.stretches if stretch.terms.active and stretch.terms.commitment]
    days = sum(stretch.days for stretch in active)
    shown = exact.grouped(rounded(least, currency))
    part = "" if days == agreement.period_days else f" for {days} of {agreement.period_days} days"
    return Line(
        type=LineType.COMMITMENT,
        key=line_key(str(LineType.COMMITMENT)),
        start=active[0].start,
        end=active[-1].end,
        explanation=f"Commitment of {shown} {currency}{part}, less usage of {exact.grouped(usage)} {currency}",
        amount_exact=amount_exact,
        amount=amount,
        quantity=Decimal(days),
        unit="days",
        per=agreement.period_days,
        tax_rate=tax_rate,
        detail={"committed": exact.plain(rounded(least, currency)), "usage": exact.plain(usage)},
    )
