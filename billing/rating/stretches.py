"""What of an agreement holds for which part of a period."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from billing.rating.keys import stamp
from billing.rating.terms import Agreement, Terms

T = TypeVar("T")


@dataclass(frozen=True)
class Holding(Generic[T]):
    """One fee, allowance or discount, in these stretches of the agreement (by place), for so many days in all."""

    item: T
    days: int
    stretches: tuple[int, ...]
    start: datetime
    end: datetime

    @property
    def since(self) -> str:
        """Tells two of the same code apart, of which one took the other's place within the period."""
        return stamp(self.start)


def holdings(
    agreement: Agreement, pick: Callable[[Terms], Iterable[T]], *, paused: Callable[[T], bool] = lambda item: False
) -> list[Holding[T]]:
    """What was agreed, each thing once, in the order of the terms. `paused`: whether it holds while the contract is paused too.

    Stretches in which the same was agreed count together, so that cutting one in two changes nothing.
    """
    places: dict[T, list[int]] = {}
    order: dict[T, tuple[int, int]] = {}
    for number, stretch in enumerate(agreement.stretches):
        for position, item in enumerate(pick(stretch.terms)):
            if stretch.terms.active or paused(item):
                places.setdefault(item, []).append(number)
                order.setdefault(item, (position, number))
    return [_holding(agreement, item, places[item]) for item in sorted(places, key=lambda item: order[item])]


def alike(agreement: Agreement) -> list[int]:
    """For each stretch the first one of the same terms. Amounts are shared out among those alone: cutting one in two moves no cent."""
    terms = [stretch.terms for stretch in agreement.stretches]
    return [terms.index(each) for each in terms]


def _holding(agreement: Agreement, item: T, places: list[int]) -> Holding[T]:
    held = [agreement.stretches[number] for number in places]
    return Holding(item, sum(one.days for one in held), tuple(places), held[0].start, held[-1].end)
