"""Lines of service credits: a share of what usage cost where a promised level of service was missed.

The base is what the usage of the model cost after discounts, rounded as on the invoice, in the stretches in which the promise held. Several
credits for the same usage never come to more than it cost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.rating import exact
from billing.rating.allowances import cover
from billing.rating.exact import ZERO
from billing.rating.gathering import Keep, gather
from billing.rating.keys import line_key
from billing.rating.lines import Line, LineType, MeterUsage, Usage
from billing.rating.percentage import percent
from billing.rating.period_prices import period_prices
from billing.rating.portions import Portion, sum_of, take
from billing.rating.prices import ANY_MODEL, PriceSheet
from billing.rating.rounding import settled
from billing.rating.statements import under_terms
from billing.rating.stretches import Holding, holdings
from billing.rating.terms import Agreement, Objective


@dataclass(frozen=True)
class Breach:
    """A promise that was missed. `said`: by how much, in words. `evidence`: what was measured, as the line keeps it."""

    promise: Holding[Objective]
    said: str
    evidence: dict[str, Any]


def promises(agreement: Agreement) -> list[Holding[Objective]]:
    """They hold while a contract is paused too: usage is billed then."""
    return holdings(agreement, lambda terms: terms.objectives, paused=lambda objective: True)


def usage_after_discounts(
    usages: Iterable[Usage],
    meters: Iterable[MeterUsage],
    agreement: Agreement,
    sheet: PriceSheet,
    *,
    period_start: datetime,
    period_end: datetime,
) -> list[Portion]:
    """What `statement` charges for usage, by stretch and model, less the discounts on it."""
    prices = period_prices(sheet, period_start, period_end)
    gathered = gather(usages, meters, agreement, prices, Keep.SHARES)
    cover(gathered, agreement)
    return under_terms(gathered, agreement, sheet.currency, ZERO).usage


def service_credits(breaches: Sequence[Breach], usage: Sequence[Portion], currency: str) -> tuple[Line, ...]:
    """`usage`: as `usage_after_discounts` gives it; what is credited is taken off it. A breach that nothing was paid for has no line."""
    bases = [sum_of(_meant(breach.promise, usage)) for breach in breaches]
    found = []
    for breach, base in zip(breaches, bases, strict=True):
        meant = _meant(breach.promise, usage)
        line = _line(breach, base, sum_of(meant), currency)
        if line.amount:
            take(-line.amount, meant, currency)
            found.append(line)
    return tuple(found)


def _meant(promise: Holding[Objective], usage: Iterable[Portion]) -> list[Portion]:
    meant = promise.item.model
    return [
        one for one in usage if one.left > 0 and one.stretch in promise.stretches and meant in {ANY_MODEL, one.model}
    ]


def _line(breach: Breach, base: Decimal, left: Decimal, currency: str) -> Line:
    item = breach.promise.item
    share = exact.times(base, item.credit_share)
    amount_exact, amount = settled(exact.minus(ZERO, min(share, left)), currency)
    most = f", of which {exact.grouped(left)} {currency} were left" if share > left else ""
    return Line(
        type=LineType.SERVICE_CREDIT,
        key=line_key(str(LineType.SERVICE_CREDIT), item.code, breach.promise.since),
        start=breach.promise.start,
        end=breach.promise.end,
        explanation=f"{breach.said}: {percent(item.credit_share)} of {exact.grouped(base)} {currency}{most}",
        amount_exact=amount_exact,
        amount=amount,
        quantity=base,
        unit=currency,
        model="" if item.model == ANY_MODEL else item.model,
        kind=str(item.measure),
        per=1,
        detail=breach.evidence | {"base": exact.plain(base), "credit_share": exact.plain(item.credit_share)},
    )
