"""Lines of flat and percentage fees, each with its amount by stretch for the discounts that come after."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating import exact, flat_fee, percentage
from billing.rating.keys import line_key
from billing.rating.lines import Line, LineType
from billing.rating.portions import Portion, portions_of_fee, sum_of
from billing.rating.rounding import rounded, settled
from billing.rating.stretches import Holding, holdings
from billing.rating.terms import Agreement, FlatFee, PercentageFee

Fee = tuple[Line, list[Portion]]


def flat_fees(agreement: Agreement, currency: str, tax_rate: Decimal) -> list[Fee]:
    found = holdings(agreement, lambda terms: terms.flat_fees)
    lines = [
        (_flat(fee, agreement.period_days, currency, tax_rate), fee) for fee in found if fee.item.amount and fee.days
    ]
    return [(line, portions_of_fee(line, fee.stretches, agreement, currency)) for line, fee in lines]


def percentage_fees(agreement: Agreement, usage: Sequence[Portion], currency: str, tax_rate: Decimal) -> list[Fee]:
    """`usage`: what usage cost, rounded, before discounts. A fee is of the usage of the stretches in which it was agreed."""
    found = []
    for fee in holdings(agreement, lambda terms: terms.percentage_fees):
        base = sum_of(portion for portion in usage if portion.stretch in fee.stretches)
        line = _percentage(fee, base, agreement.period_days, currency, tax_rate)
        if line.amount_exact:
            found.append((line, portions_of_fee(line, fee.stretches, agreement, currency)))
    return found


def _flat(fee: Holding[FlatFee], period_days: int, currency: str, tax_rate: Decimal) -> Line:
    amount_exact, amount = settled(flat_fee.amount(fee.item.amount, fee.days, period_days), currency)
    said = flat_fee.explanation(fee.item.amount, fee.days, period_days, currency)
    return Line(
        type=LineType.FLAT_FEE,
        key=line_key(str(LineType.FLAT_FEE), fee.item.code, fee.since),
        start=fee.start,
        end=fee.end,
        explanation=f"{fee.item.description}: {said}",
        amount_exact=amount_exact,
        amount=amount,
        quantity=Decimal(fee.days),
        unit="days",
        charge_model=str(LineType.FLAT_FEE),
        unit_amount=fee.item.amount,
        per=period_days,
        tax_rate=tax_rate,
        detail={"code": fee.item.code},
    )


def _percentage(fee: Holding[PercentageFee], base: Decimal, period_days: int, currency: str, tax_rate: Decimal) -> Line:
    least = exact.fraction_of(fee.item.minimum, fee.days, period_days)
    amount_exact, amount = settled(percentage.at_least(base, fee.item.rate, least), currency)
    said = percentage.explanation(base, fee.item.rate, currency)
    if least > percentage.amount(base, fee.item.rate):
        said += f", at least {exact.plain(rounded(least, currency))} {currency}"
    return Line(
        type=LineType.PERCENTAGE_FEE,
        key=line_key(str(LineType.PERCENTAGE_FEE), fee.item.code, fee.since),
        start=fee.start,
        end=fee.end,
        explanation=f"{fee.item.description}: {said}",
        amount_exact=amount_exact,
        amount=amount,
        quantity=base,
        unit=currency,
        charge_model="percentage",
        per=1,
        tax_rate=tax_rate,
        detail={"code": fee.item.code, "rate": exact.plain(fee.item.rate), "base": exact.plain(base)},
    )
