"""Usage gathered under the lines that it is on."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

from billing.rating.exact import ZERO, total
from billing.rating.kinds import Tokens
from billing.rating.lines import MeterUsage, Usage
from billing.rating.period_prices import Hold, PeriodPrices, Slot, at
from billing.rating.prices import METER
from billing.rating.stretches import alike
from billing.rating.terms import Agreement


class ShareKey(NamedTuple):
    """What of a line an allowance, a discount or a fee may be for. `stretch`: the first of those that are alike, by its place."""

    stretch: int
    model: str
    tier: str
    kind: str


class Piece(NamedTuple):
    """Of one line in one piece of usage, which is number `place` of those given."""

    place: int
    quantity: Decimal
    events: int


class Share:
    """Of one line. `charged`: what no allowance covers."""

    __slots__ = ("charged", "pieces", "quantity")

    def __init__(self) -> None:
        self.quantity = self.charged = ZERO
        self.pieces: list[Piece] = []

    def add(self, quantity: Decimal) -> None:
        self.quantity = total((self.quantity, quantity))
        self.charged = self.quantity


class Gathered:
    """All usage of one line, which holds in `[start, end)`. `included`: what allowances cover of it, by their codes."""

    __slots__ = ("end", "events", "included", "quantity", "shares", "slot", "start")

    def __init__(self, slot: Slot, start: datetime, end: datetime) -> None:
        self.slot = slot
        self.start = start
        self.end = end
        self.quantity: int | Decimal = 0
        self.events = 0
        self.shares: dict[ShareKey, Share] = {}
        self.included: dict[str, Decimal] = {}

    def ordered(self) -> list[tuple[ShareKey, Share]]:
        return sorted(self.shares.items(), key=lambda item: item[0])


class Keep(IntEnum):
    """How much of where a line's usage comes from is kept."""

    SUMS = 0
    SHARES = 1
    PIECES = 2


class Book(NamedTuple):
    """The contract's price book in a stretch, and from when to when it is the same."""

    name: str
    start: datetime
    end: datetime


class Gathering:
    """Lines by their keys."""

    def __init__(self, agreement: Agreement, prices: PeriodPrices, keep: Keep) -> None:
        self.lines: dict[str, Gathered] = {}
        self._prices = prices
        self._keep = keep
        self._stretch_at = _stretches(agreement)
        self._alike = alike(agreement) or [0]
        self._books = _books(agreement, prices)

    def add_usage(self, place: int, usage: Usage) -> None:
        """Raises ValueError where a part of a request's tokens is larger than its whole."""
        quantities = _quantities(usage.tokens, usage.requests)
        stretch = self._stretch_at(usage.start)
        book = self._books[stretch]
        courses = self._prices.courses(usage, book.name)
        for (kind, course), quantity in zip(courses, quantities, strict=True):
            if quantity:
                hold = course[0] if len(course) == 1 else at(course, usage.start)
                if hold.slot is not None:
                    held = self._line(hold.slot, hold, book)
                    held.quantity += quantity
                    if self._keep:
                        key = ShareKey(self._alike[stretch], usage.model, usage.tier, kind)
                        self._share(held, key, Piece(place, Decimal(quantity), 0))

    def add_meter(self, place: int, usage: MeterUsage) -> None:
        """Raises ValueError for less than nothing, which a meter of latest values may measure."""
        if usage.quantity < 0:
            raise ValueError(f"meter {usage.meter} measured {usage.quantity}: nothing below zero can be billed")
        if not usage.quantity and not usage.events:
            return
        stretch = self._stretch_at(usage.start)
        book, kind = self._books[stretch], METER + usage.meter
        hold = at(self._prices.course(usage, kind, book.name), usage.start)
        if hold.slot is not None:
            held = self._line(hold.slot, hold, book)
            held.quantity = total((Decimal(held.quantity), usage.quantity))  # `+` would round to 28 digits
            held.events += usage.events
            if self._keep:
                key = ShareKey(self._alike[stretch], usage.model, usage.tier, kind)
                self._share(held, key, Piece(place, usage.quantity, usage.events))

    def _line(self, slot: Slot, hold: Hold, book: Book) -> Gathered:
        """The line, with the time that it holds extended to that of this usage's price and book."""
        start, end = max(slot.start, book.start), min(hold.until, book.end)
        held = self.lines.get(slot.key)
        if held is None:
            held = self.lines[slot.key] = Gathered(slot, start, end)
        elif start < held.start or end > held.end:
            held.start, held.end = min(start, held.start), max(end, held.end)
        return held

    def _share(self, held: Gathered, key: ShareKey, piece: Piece) -> None:
        share = held.shares.setdefault(key, Share())
        share.add(piece.quantity)
        if self._keep == Keep.PIECES:
            share.pieces.append(piece)


def gather(
    usages: Iterable[Usage],
    meters: Iterable[MeterUsage],
    agreement: Agreement,
    prices: PeriodPrices,
    keep: Keep,
) -> list[Gathered]:
    """In the order in which lines stand on an invoice. Pieces are numbered on from the usages to the meters."""
    found = Gathering(agreement, prices, keep)
    place = -1
    for place, usage in enumerate(usages):
        found.add_usage(place, usage)
    for number, meter in enumerate(meters, start=place + 1):
        found.add_meter(number, meter)
    return sorted(found.lines.values(), key=lambda held: (held.slot.order, held.start, held.slot.key))


def _books(agreement: Agreement, prices: PeriodPrices) -> list[Book]:
    """In each stretch. Raises ValueError for a book that the sheet was made without."""
    names = [stretch.terms.price_book for stretch in agreement.stretches]
    missing = [name for name in names if name and name not in prices.sheet.versions]
    if missing:
        raise ValueError(f"the contract names the price book {missing[0]!r}, and these prices are without it")
    if len(set(names)) < 2:
        return [Book(name, prices.start, prices.end) for name in names or [""]]
    found: list[Book] = []
    for _, same in groupby(agreement.stretches, key=lambda stretch: stretch.terms.price_book):
        run = list(same)
        found += [Book(stretch.terms.price_book, run[0].start, run[-1].end) for stretch in run]
    return found


def _quantities(tokens: Tokens, requests: int) -> tuple[int, int, int, int, int, int]:
    """In the order of the kinds, and then the requests. What `kinds.partition` does, without a dictionary for each."""
    uncached = tokens.input - tokens.cached_input - tokens.cache_write
    answer = tokens.output - tokens.reasoning
    if uncached < 0 or answer < 0:
        raise ValueError(f"a part is larger than its whole in {tokens}")
    return uncached, tokens.cached_input, tokens.cache_write, answer, tokens.reasoning, requests


def _stretches(agreement: Agreement) -> Callable[[datetime], int]:
    """Which stretch holds at a moment. What lies before the first is in the first."""
    starts = [stretch.start for stretch in agreement.stretches]
    if len(starts) < 2:
        return lambda moment: 0
    return lambda moment: max(bisect_right(starts, moment) - 1, 0)
