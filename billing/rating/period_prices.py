"""Which line a piece of usage is on. Worked out once for each kind of usage in a billing period, and then looked up: an invoice run asks
for the same few a quarter of a million times.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from billing.rating.keys import line_key, stamp
from billing.rating.kinds import Kind
from billing.rating.lines import NOT_BILLED, LineType, Usage
from billing.rating.prices import LIST, METER, REQUEST, ChargeModel, PriceRule, PriceSheet, UsageLike

KINDS = (*(str(kind) for kind in Kind), REQUEST)
_PLACES = {kind: place for place, kind in enumerate(KINDS)}
_UNITS = {REQUEST: "requests"} | {str(kind): "tokens" for kind in Kind}


class On(NamedTuple):
    """What a line is of. '' and 0: any, or all."""

    model: str
    tier: str
    operation: str
    region: str
    context_over: int
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A usage line before it has a quantity. `rule` None: not billed, or without a price. `note`: what the explanation ends with."""

    key: str
    rule: PriceRule | None
    billed: bool
    model: str
    tier: str
    kind: str
    unit: str
    start: datetime
    note: str
    order: tuple[object, ...]


class Hold(NamedTuple):
    """From `start` on, usage of one sort is on this line; `until`: the last end of its being on it within the period.

    `slot` None: on none, as requests are that have no price of their own.
    """

    start: datetime
    until: datetime
    slot: Slot | None


Course = list[Hold]  # in order


class PeriodPrices:
    """The lines of one billing period `[start, end)` under one sheet."""

    def __init__(self, sheet: PriceSheet, start: datetime, end: datetime) -> None:
        self.sheet = sheet
        self.start = start
        self.end = end
        self._slots: dict[str, Slot] = {}
        self._courses: dict[tuple[object, ...], Course] = {}
        self._of_requests: dict[tuple[object, ...], tuple[tuple[str, Course], ...]] = {}

    def courses(self, usage: Usage, book: str) -> tuple[tuple[str, Course], ...]:
        """Of every kind of tokens, and of requests. `book`: the contract's, '' none."""
        free = usage.status in NOT_BILLED
        asked = (free, book, usage.model, usage.tier, usage.operation, usage.region, usage.context_band)
        found = self._of_requests.get(asked)
        if found is None:
            course = self._not_billed if free else partial(self.course, book=book)
            found = self._of_requests[asked] = tuple((kind, course(usage, kind)) for kind in KINDS)
        return found

    def course(self, usage: UsageLike, kind: str, book: str) -> Course:
        asked = (book, kind, usage.model, usage.tier, usage.operation, usage.region, usage.context_band)
        found = self._courses.get(asked)
        if found is None:
            found = self._courses[asked] = self._worked_out(usage, kind, book)
        return found

    def _not_billed(self, usage: UsageLike, kind: str) -> Course:
        """Tokens of failed requests are on a line of their own; the requests themselves on none."""
        on = On(usage.model, usage.tier, "", "", 0, kind)
        slot = None if kind == REQUEST else self._slot(on, None, self.start, billed=False)
        return [Hold(self.start, self.end, slot)]

    def _worked_out(self, usage: UsageLike, kind: str, book: str) -> Course:
        keys = self.sheet.matching(usage, kind, book)
        starts = {row.effective_from for key in keys for row in self.sheet.rows(key)}
        moments = [self.start, *sorted(moment for moment in starts if self.start < moment < self.end)]
        rules = [self.sheet.holding(keys, self.start, moment) for moment in moments]
        since: dict[int, datetime] = {}  # a price that ends and comes back is on one line, from when it held first
        until: dict[int, datetime] = {}
        for rule, moment, after in zip(rules, moments, [*moments[1:], self.end], strict=True):
            since.setdefault(id(rule), moment)
            until[id(rule)] = after
        slots = {id(rule): self._line_of(usage, kind, rule, since[id(rule)]) for rule in rules}
        return [Hold(moment, until[id(rule)], slots[id(rule)]) for rule, moment in zip(rules, moments, strict=True)]

    def _line_of(self, usage: UsageLike, kind: str, rule: PriceRule | None, since: datetime) -> Slot | None:
        if rule is None:
            on = On(usage.model, usage.tier, "", "", 0, kind)
            return None if kind == REQUEST else self._slot(on, None, since)
        if rule.tiered:  # one line for everything that the price holds for, since the tiers count all of it
            on = On(rule.model, rule.tier, rule.operation, rule.region, rule.context_over, rule.kind)
            return self._slot(on, rule, max(rule.effective_from, self.start))
        on = On(usage.model, usage.tier, rule.operation, rule.region, rule.context_over, kind)
        return self._slot(on, rule, since)

    def _slot(self, on: On, rule: PriceRule | None, since: datetime, *, billed: bool = True) -> Slot:
        key = _key(on, since, rule.book if rule else LIST, billed=billed)
        found = self._slots.get(key)
        if found is None:
            order = (on.model, on.tier, not billed, _PLACES.get(on.kind, len(_PLACES)), on.kind)
            found = self._slots[key] = Slot(
                key=key,
                rule=rule,
                billed=billed,
                model=on.model,
                tier=on.tier,
                kind=on.kind,
                unit=_unit(on.kind, rule),
                start=since,
                note=_note(on.kind, rule),
                order=order,
            )
        if found.rule is not rule:
            raise ValueError(f"two prices for one line: {key}")
        return found


def period_prices(sheet: PriceSheet, start: datetime, end: datetime) -> PeriodPrices:
    """One for each period of a sheet, so that what is worked out for one tenant serves all."""
    found = sheet.periods.get((start, end))
    if found is None:
        found = sheet.periods[start, end] = PeriodPrices(sheet, start, end)
    return found


def at(course: Course, moment: datetime) -> Hold:
    if len(course) == 1:
        return course[0]
    return course[max(bisect_right(course, moment, key=lambda hold: hold.start) - 1, 0)]


def _key(on: On, since: datetime, book: str, *, billed: bool) -> str:
    """Names the line within its period. The book is in it where it is not the list: a contract may change its book within a period."""
    parts = (str(LineType.USAGE), *on, "billed" if billed else "free", stamp(since))
    return line_key(*parts) if book == LIST else line_key(*parts, book)


def _unit(kind: str, rule: PriceRule | None) -> str:
    if rule is not None and rule.charge_model == ChargeModel.PERCENTAGE:
        return rule.currency
    return _UNITS.get(kind, "units")


def _note(kind: str, rule: PriceRule | None) -> str:
    """What is particular about the price, in brackets."""
    if rule is None:
        return ""
    said = []
    if kind != rule.kind:
        said.append(f"the price of {rule.kind}")
    if rule.context_over:
        said.append(f"requests of more than {rule.context_over:,} input tokens")
    said += [f"{name} {value}" for name, value in (("operation", rule.operation), ("region", rule.region)) if value]
    if kind.startswith(METER):
        said.append(f"meter {kind.removeprefix(METER)}")
    if rule.book != LIST:
        said.append(f"price book {rule.book}")
    return f" ({', '.join(said)})" if said else ""
