"""How long credit lasts if every day costs what the last ones did on average. Pure: a day at a time, in the order in which credit burns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

FARTHEST_DAYS = 366
DAY = timedelta(days=1)
ZERO = Decimal(0)


@dataclass(frozen=True)
class Reserve:
    """A grant, as a forecast sees it. `before_tax`: it covers what is taxed, so a day costs it less than paid credit."""

    left: Decimal
    before_tax: bool
    effective_from: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Forecast:
    """`used_up_on`: the first day that credit does not cover whole; None: not within `FARTHEST_DAYS`, or nothing is used at all.

    `expires_unused`: what expires before then with nothing to spend it on.
    """

    used_up_on: datetime | None
    expires_unused: Decimal


def forecast(
    reserves: Sequence[Reserve], day_cost: Decimal, tax_rate: Decimal, today: datetime, *, due: Decimal = ZERO
) -> Forecast:
    """`reserves` in the order in which they burn. `day_cost`, and what is `due` before today, are before tax. `today`: a midnight."""
    left = [reserve.left for reserve in reserves]
    enough, until, farthest = _pay(reserves, left, due, tax_rate, today), today, today + FARTHEST_DAYS * DAY
    while enough and until < farthest:
        enough = _pay(reserves, left, day_cost, tax_rate, until)
        if enough:
            until += DAY
    expired = [rest for reserve, rest in zip(reserves, left, strict=True) if _expires(reserve, until)]
    return Forecast(None if enough else until, sum(expired, ZERO))


def _pay(reserves: Sequence[Reserve], left: list[Decimal], cost: Decimal, tax_rate: Decimal, day: datetime) -> bool:
    """Take a day's cost out of `left`; whether it was enough."""
    rest = _burn(reserves, left, cost, day, before_tax=True)
    return _burn(reserves, left, rest * (1 + tax_rate), day, before_tax=False) <= 0


def _burn(
    reserves: Sequence[Reserve], left: list[Decimal], cost: Decimal, day: datetime, *, before_tax: bool
) -> Decimal:
    """What of `cost` they do not cover."""
    for place, reserve in enumerate(reserves):
        if reserve.before_tax is before_tax and reserve.effective_from <= day and not _expires(reserve, day):
            taken = min(left[place], cost)
            left[place] -= taken
            cost -= taken
    return cost


def _expires(reserve: Reserve, until: datetime) -> bool:
    return reserve.expires_at is not None and reserve.expires_at <= until
