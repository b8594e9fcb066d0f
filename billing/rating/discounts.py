"""Lines of discounts: in order, each off what those before it have left."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating import exact
from billing.rating.exact import Exact
from billing.rating.keys import line_key
from billing.rating.lines import Line, LineType
from billing.rating.percentage import percent
from billing.rating.portions import Portion, sum_of, take
from billing.rating.prices import ANY_MODEL
from billing.rating.rounding import rounded, settled
from billing.rating.stretches import Holding, holdings
from billing.rating.terms import Agreement, AppliesTo, Discount


def discounts(agreement: Agreement, portions: Sequence[Portion], currency: str, tax_rate: Decimal) -> list[Line]:
    """Takes each off the portions that it is for. A share of usage holds while a contract is paused, an amount does not."""
    found = []
    for discount in holdings(agreement, lambda terms: terms.discounts, paused=lambda item: item.share is not None):
        meant = [portion for portion in portions if portion.left > 0 and _meant(discount, portion)]
        line = _line(discount, sum_of(meant), agreement.period_days, currency, tax_rate)
        if line.amount_exact:
            take((line.amount or exact.ZERO).copy_abs(), meant, currency)
            found.append(line)
    return found


def _meant(discount: Holding[Discount], portion: Portion) -> bool:
    """A discount for a model is off that model's usage: a fee is of no model."""
    if portion.stretch not in discount.stretches:
        return False
    item = discount.item
    unwanted = AppliesTo.FEES if portion.usage else AppliesTo.USAGE
    return item.applies_to != unwanted and item.model in {ANY_MODEL, portion.model}


def _line(discount: Holding[Discount], base: Decimal, period_days: int, currency: str, tax_rate: Decimal) -> Line:
    item = discount.item
    off, said = _off(discount, base, period_days, currency)
    amount_exact, amount = (exact.minus(exact.ZERO, found) for found in settled(off, currency))
    share = {} if item.share is None else {"share": exact.plain(item.share)}
    return Line(
        type=LineType.DISCOUNT,
        key=line_key(str(LineType.DISCOUNT), item.code, discount.since),
        start=discount.start,
        end=discount.end,
        explanation=f"{item.description}: {said}",
        amount_exact=amount_exact,
        amount=amount,
        quantity=base,
        unit=currency,
        model="" if item.model == ANY_MODEL else item.model,
        per=1,
        tax_rate=tax_rate,
        detail={"code": item.code, "applies_to": str(item.applies_to), "base": exact.plain(base)} | share,
    )


def _off(discount: Holding[Discount], base: Decimal, period_days: int, currency: str) -> tuple[Exact, str]:
    item = discount.item
    shown = f"{exact.grouped(base)} {currency}"
    if item.share is not None:
        return exact.times(base, item.share), f"{percent(item.share)} of {shown}"
    agreed = exact.fraction_of(item.amount or exact.ZERO, discount.days, period_days)
    days = "" if discount.days == period_days else f" for {discount.days} of {period_days} days"
    most = f", at most the {shown} there are" if agreed > base else ""
    return (base if agreed > base else agreed), f"{exact.plain(rounded(agreed, currency))} {currency}{days}{most}"
