"""Price changes tested before they ship: past billing periods rated again under a version of a book, beside what they came to.

Both sides are `rating.statement` over the ledger, with what was agreed for each period: what would have been billed, before tax, credits
and service credits. A draft's prices begin in the future, where they would change nothing that has been; so they are taken to have held
throughout, unless they are asked for as they are dated.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice

from django.utils import timezone

from billing import pricebook, rating, usage
from billing.agreements import Due, periods_ending
from billing.contracts import Period
from billing.pricebook import Books
from billing.rating import exact
from metering import public as metering
from metering.contracts import SealInfo, TenantInfo

MOST_MONTHS = 24
AT_ONCE = 500  # tenants whose usage is in memory at a time
Progress = Callable[[int, int], None]  # periods done, and periods in all


class PreviewRefused(ValueError):
    """A question that has no answer, with the reason."""


@dataclass(frozen=True)
class Bill:
    """One period of one tenant: what its lines come to before tax, rounded as on an invoice. `unpriced`: lines without a price, which
    would block the invoice and are not in the amount.
    """

    period: Period
    before: Decimal
    after: Decimal
    unpriced_before: int = 0
    unpriced_after: int = 0

    @property
    def rise(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True)
class CustomerPreview:
    tenant: str
    currency: str
    bills: tuple[Bill, ...]

    @property
    def before(self) -> Decimal:
        return exact.total(bill.before for bill in self.bills)

    @property
    def after(self) -> Decimal:
        return exact.total(bill.after for bill in self.bills)

    @property
    def rise(self) -> Decimal:
        return self.after - self.before

    @property
    def share(self) -> Decimal | None:
        """0.1: 10 % more than before; None where that was nothing."""
        return share(self.before, self.after)

    @property
    def shock(self) -> Bill:
        """The bill that rises most."""
        return max(self.bills, key=lambda bill: bill.rise)

    @property
    def unpriced(self) -> int:
        return sum(bill.unpriced_after for bill in self.bills)


@dataclass(frozen=True)
class PreviewTotal:
    """All customers of one currency: how many pay more, less, the same."""

    currency: str
    before: Decimal
    after: Decimal
    more: int
    less: int
    same: int

    @property
    def rise(self) -> Decimal:
        return self.after - self.before

    @property
    def share(self) -> Decimal | None:
        return share(self.before, self.after)


@dataclass(frozen=True)
class Preview:
    """`customers`: the worst bill shock first, by the amount of its currency. `versions`: of the books that it is compared with."""

    book: str
    version: int
    months: int
    as_dated: bool
    until: datetime
    seal: int
    versions: Mapping[str, int]
    customers: tuple[CustomerPreview, ...]

    @property
    def totals(self) -> tuple[PreviewTotal, ...]:
        return tuple(_total(currency, held) for currency, held in _by_currency(self.customers))


def preview(
    book: str,
    version: int,
    months: int,
    *,
    as_dated: bool = False,
    until: datetime | None = None,
    progress: Progress = lambda done, due: None,
) -> Preview:
    """The billing periods that ended in the last `months` months before `until` (default: now), of every tenant that has that book.

    Raises pricebook.UnknownVersion, or PreviewRefused for a number of months that it does not take and where nothing is sealed yet.
    """
    if not 1 <= months <= MOST_MONTHS:
        raise PreviewRefused(f"a preview is of 1 to {MOST_MONTHS} months, not {months}")
    until = until or timezone.now()
    seal = metering.latest_seal()
    if seal is None:
        raise PreviewRefused("nothing is sealed yet, so there is no history to rate")
    prices = _Prices(book, version, as_dated)
    due = [one for one in _ended(months, until) if prices.concern(one)]
    prices.load(due)
    bills: defaultdict[tuple[str, str], list[Bill]] = defaultdict(list)
    done = 0
    for batch in _batches(due):
        for one, bill in _bills(batch, prices, seal):
            bills[one.tenant.key, one.agreed.currency].append(bill)
        done += len(batch)
        progress(done, len(due))
    customers = (CustomerPreview(*owner, tuple(held)) for owner, held in bills.items())
    ranked = sorted(customers, key=lambda one: (one.currency, -one.shock.rise, one.tenant))
    return Preview(book, version, months, as_dated, until, seal.id, prices.versions, tuple(ranked))


def share(before: Decimal, after: Decimal) -> Decimal | None:
    """By how much it rose: 0.1 for 10 %, to six digits. None from nothing."""
    return round((after - before) / before, 6) if before else None


class _Prices:
    """The sheets of both sides, by currency and a contract's book."""

    def __init__(self, book: str, version: int, as_dated: bool) -> None:
        self.book, self.version, self.as_dated = book, version, as_dated
        published = pricebook.version_info(book, version).published_at is not None
        now = pricebook.current_versions()
        # A draft is compared with what holds, a published version with the one that held before it.
        self.versions = now | {book: version - 1} if published else {book: 0} | now
        self._sides: dict[tuple[str, Books], tuple[rating.PriceSheet, rating.PriceSheet]] = {}

    def concern(self, one: Due) -> bool:
        named = {stretch.terms.price_book for stretch in one.agreed.agreement.stretches}
        return self.book == pricebook.LIST or self.book in named

    def load(self, due: Iterable[Due]) -> None:
        pairs = {(one.agreed.currency, _books(one)) for one in due}
        before = pricebook.sheets(pairs, self.versions)
        after = pricebook.rules(pairs, dict(self.versions) | {self.book: self.version})
        for pair in pairs:
            rules = after[pair] if self.as_dated else _throughout(after[pair], self.book, self.version)
            versions = dict(before[pair].versions) | {self.book: self.version}
            self._sides[pair] = before[pair], rating.PriceSheet(rules, versions=versions, currency=pair[0])

    def sides(self, one: Due) -> tuple[rating.PriceSheet, rating.PriceSheet]:
        return self._sides[one.agreed.currency, _books(one)]


def _throughout(rules: Sequence[rating.PriceRule], book: str, version: int) -> list[rating.PriceRule]:
    """As if the version's prices had always held: they take the place of every row of their keys. Of several of a key, the last."""
    own: dict[tuple[object, ...], rating.PriceRule] = {}
    for rule in rules:
        held = own.get(rule.key)
        if _is_of(rule, book, version) and (held is None or held.effective_from <= rule.effective_from):
            own[rule.key] = rule
    kept = [rule for rule in rules if rule.book != book or rule.key not in own]
    return [*kept, *(replace(rule, effective_from=rating.BEGINNING) for rule in own.values())]


def _is_of(rule: rating.PriceRule, book: str, version: int) -> bool:
    return (rule.book, rule.version) == (book, version)


def _ended(months: int, until: datetime) -> list[Due]:
    return periods_ending(metering.tenants(), _earlier(until, months), until)


def _earlier(moment: datetime, months: int) -> datetime:
    """As many months before; the last day of a month that is too short."""
    year, number = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    return moment.replace(year=year, month=number + 1, day=min(moment.day, monthrange(year, number + 1)[1]))


def _books(one: Due) -> Books:
    return pricebook.books_of(one.agreed.agreement)


def _batches(due: Iterable[Due]) -> Iterator[list[Due]]:
    """Periods with the same bounds and prices together, so that their usage is read in one statement."""
    groups: defaultdict[tuple[datetime, datetime, str, Books], list[Due]] = defaultdict(list)
    for one in due:
        groups[one.period.start, one.period.end, one.agreed.currency, _books(one)].append(one)
    for members in groups.values():
        rest = iter(members)
        while batch := list(islice(rest, AT_ONCE)):
            yield batch


def _bills(batch: Sequence[Due], prices: _Prices, seal: SealInfo) -> Iterator[tuple[Due, Bill]]:
    """Of those that used something or owe something."""
    before, after = prices.sides(batch[0])
    tenants = [one.tenant for one in batch]
    old, new = (_lines(batch, tenants, sheet, seal) for sheet in (before, after))
    for one, was, would in zip(batch, old, new, strict=True):
        if was or would:
            yield one, Bill(one.period, *_amounts(was, would))


def _lines(
    batch: Sequence[Due], tenants: Sequence[TenantInfo], sheet: rating.PriceSheet, seal: SealInfo
) -> list[tuple[rating.Line, ...]]:
    period = batch[0].period
    stretches = (stretch.start for one in batch for stretch in one.agreed.agreement.stretches)
    cuts = usage.edges(period, [sheet], stretches)
    metered = usage.sealed([one.key for one in tenants], cuts, sheet, seal)
    used = (metered.get(one.tenant.key, usage.NOTHING) for one in batch)
    return [
        rating.statement(held.usages, held.meters, one.agreed.agreement, sheet, period.start, period.end)
        for one, held in zip(batch, used, strict=True)
    ]


def _amounts(was: Sequence[rating.Line], would: Sequence[rating.Line]) -> tuple[Decimal, Decimal, int, int]:
    sums = (exact.total(line.amount for line in lines if line.amount is not None) for lines in (was, would))
    blocked = (sum(line.unpriced for line in lines) for lines in (was, would))
    before, after = sums
    return before, after, *blocked  # type: ignore[return-value]


def _by_currency(customers: Iterable[CustomerPreview]) -> list[tuple[str, list[CustomerPreview]]]:
    held: defaultdict[str, list[CustomerPreview]] = defaultdict(list)
    for one in customers:
        held[one.currency].append(one)
    return sorted(held.items())


def _total(currency: str, customers: Sequence[CustomerPreview]) -> PreviewTotal:
    return PreviewTotal(
        currency,
        exact.total(one.before for one in customers),
        exact.total(one.after for one in customers),
        more=sum(one.rise > 0 for one in customers),
        less=sum(one.rise < 0 for one in customers),
        same=sum(one.rise == 0 for one in customers),
    )
