"""The lines of one billing period: usage, fees, discounts and the true-up of a commitment, in this order.

Without tax, credits, service credits and adjustments of earlier periods, which need more than the period's own usage and terms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.rating.allowances import cover
from billing.rating.commitment import true_up
from billing.rating.discounts import discounts
from billing.rating.exact import ZERO
from billing.rating.fees import flat_fees, percentage_fees
from billing.rating.gathering import Gathered, Keep, gather
from billing.rating.lines import Line, MeterUsage, Usage
from billing.rating.period_prices import period_prices
from billing.rating.portions import Portion, portions_of_usage, sum_of
from billing.rating.prices import PriceSheet
from billing.rating.terms import Agreement, Terms
from billing.rating.usage_lines import usage_line


@dataclass(frozen=True)
class Rated:
    """`usage`: what usage costs after discounts, by stretch and model."""

    lines: list[Line]
    usage: list[Portion]


def statement(  # noqa: PLR0917 - what `rater` calls; the same order for every version
    usages: Iterable[Usage],
    meters: Iterable[MeterUsage],
    agreement: Agreement,
    sheet: PriceSheet,
    period_start: datetime,
    period_end: datetime,
    *,
    tax_rate: Decimal = ZERO,
) -> tuple[Line, ...]:
    """Splitting or joining usage changes nothing, as long as no piece crosses a moment at which a price or the agreement changes.

    `tax_rate` is written on every line. Raises ValueError for usage that contradicts itself and for a currency without a minor unit.
    """
    plain = _plain(agreement) and not sheet.tiered
    prices = period_prices(sheet, period_start, period_end)
    gathered = gather(usages, meters, agreement, prices, Keep.SUMS if plain else Keep.SHARES)
    if plain:
        return tuple([usage_line(held, sheet.currency, tax_rate) for held in gathered])
    cover(gathered, agreement)
    return tuple(under_terms(gathered, agreement, sheet.currency, tax_rate).lines)


def unpriced(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines that keep an invoice from being finalised: usage that nobody has set a price for."""
    return tuple(line for line in lines if line.unpriced)


def under_terms(gathered: Sequence[Gathered], agreement: Agreement, currency: str, tax_rate: Decimal) -> Rated:
    """`gathered` with its shares, after the allowances."""
    lines = [usage_line(held, currency, tax_rate) for held in gathered]
    usage = portions_of_usage(gathered, lines, currency)
    fees = [
        *flat_fees(agreement, currency, tax_rate),
        *percentage_fees(agreement, usage, currency, tax_rate),
    ]
    lines += [line for line, _ in fees]
    lines += discounts(agreement, [*usage, *(portion for _, of_fee in fees for portion in of_fee)], currency, tax_rate)
    missing = true_up(agreement, sum_of(usage), currency, tax_rate)
    return Rated([*lines, missing] if missing else lines, usage)


def _plain(agreement: Agreement) -> bool:
    """Whether usage is all there is: as without a contract."""
    if len(agreement.stretches) != 1:
        return False
    terms = agreement.stretches[0].terms
    return terms == Terms(terms.plan, terms.active, terms.price_book, objectives=terms.objectives)
