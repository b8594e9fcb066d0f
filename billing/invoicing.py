"""Drafts: what an invoice would say, computed from the ledger as of a seal. `finalising` makes invoices of them.

A draft is a value and is never stored. One tenant's trouble is its own: the others get theirs.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from billing import credit_application, pricebook, rating, usage
from billing.agreements import Agreed, Due
from billing.contracts import Period, UsageTotals
from billing.rating import Line, LineType, exact
from billing.rating.terms import Agreement
from billing.usage import Metered
from metering.contracts import SealInfo

# Tokens, or units of a currency: more does not fit the columns, and must not take other tenants' invoices along.
MOST = 10**18


Key = tuple[str, Period, str]  # tenant, period, currency: there is one invoice of each


@dataclass(frozen=True)
class Draft:
    """What an invoice would say before credit. `lines` holds unpriced ones too; such a draft cannot be finalised.

    `cells`: the amounts of usage lines in pieces of time, for credit that does not hold all the time. `corrected`: for each earlier
    invoice that could have late usage how many corrections it had when this was drafted; finalising refuses if there are more by then.
    """

    due: Due
    seal: SealInfo
    price_versions: Mapping[str, int]
    lines: tuple[Line, ...]
    usage: UsageTotals
    cells: tuple[rating.Cell, ...] = ()
    cut_at: tuple[datetime, ...] = ()
    corrected: Mapping[str, int] = field(default_factory=dict)
    root: str = ""
    leaves: int = 0

    @property
    def key(self) -> Key:
        return key_of(self.due)

    @property
    def tenant(self) -> str:
        return self.due.tenant.key

    @property
    def period(self) -> Period:
        return self.due.period

    @property
    def agreed(self) -> Agreed:
        return self.due.agreed

    @property
    def currency(self) -> str:
        return self.due.agreed.currency

    @property
    def unpriced(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.unpriced)

    @property
    def sums(self) -> "Sums":
        return sums(self.lines, self.currency)


@dataclass(frozen=True)
class Sums:
    taxes: tuple[rating.Tax, ...]

    @property
    def subtotal(self) -> Decimal:
        return exact.total(row.base for row in self.taxes)

    @property
    def tax(self) -> Decimal:
        return exact.total(row.amount for row in self.taxes)

    @property
    def total(self) -> Decimal:
        return self.subtotal + self.tax


class DraftRefused(ValueError):
    """One tenant's usage that cannot be made into lines, with the reason."""


def key_of(due: Due) -> Key:
    return (due.tenant.key, due.period, due.agreed.currency)


def sums(lines: Iterable[Line], currency: str) -> Sums:
    """Of the lines that have an amount."""
    return Sums(rating.taxes(((line.tax_rate, line.amount) for line in lines if line.amount is not None), currency))


def drafts(due: Sequence[Due], seal: SealInfo, versions: Mapping[str, int]) -> dict[Key, Draft | DraftRefused]:
    """The drafts of those that have any line, in the order asked for. `versions`: of the price books, by name.

    What is read alike is read together, so that a run of many tenants asks the ledger a few times. Late usage of earlier periods is not
    in them: see `adjustments.added`.
    """
    sheets = Sheets([one.agreed for one in due], versions)
    found: dict[Key, Draft | DraftRefused | None] = {}
    for group in _together(due, sheets):
        period = group.due[0].period
        cuts = usage.edges(period, (sheets.of(one.agreed) for one in group.due), (*group.cut_at, *group.changes))
        metered = usage.sealed([one.tenant.key for one in group.due], cuts, sheets.of(group.due[0].agreed), seal)
        for one in group.due:
            sheet = sheets.of(one.agreed)
            used = metered.get(one.tenant.key, usage.NOTHING)
            found[key_of(one)] = drafted(one, used, seal, sheet, group.cut_at)
    return {key: made for key in map(key_of, due) if (made := found[key]) is not None}


def drafted(
    due: Due, metered: Metered, seal: SealInfo, sheet: rating.PriceSheet, cut_at: Sequence[datetime] = ()
) -> Draft | DraftRefused | None:
    """The draft of what was metered; None if there is nothing to say. `cut_at`: where a credit begins or expires."""
    totals = usage.totals(metered.usages)
    if max(asdict(totals).values()) > MOST:
        return DraftRefused(
            f"more than {MOST:,} tokens in {due.period}: that is no usage, look at what this tenant sends"
        )
    try:
        lines = lines_of(due, metered, sheet)
        cells = cells_of(
            agreement=due.agreed.agreement,
            period=due.period,
            metered=metered,
            lines=lines,
            sheet=sheet,
            cut_at=cut_at,
        )
    except ValueError as error:  # a currency without a minor unit, a part larger than its whole
        return DraftRefused(str(error))
    if any(line.amount_exact is not None and abs(line.amount_exact) > MOST for line in lines):
        return DraftRefused(
            f"a line of more than {MOST:,} {due.agreed.currency}: look at the price and at what this tenant sends"
        )
    return Draft(due, seal, sheet.versions, lines, totals, cells, tuple(cut_at)) if lines else None


def lines_of(due: Due, metered: Metered, sheet: rating.PriceSheet) -> tuple[Line, ...]:
    """All lines of a period but adjustments, service credits and credit, with the tax rate that they carry."""
    start, end, agreed = due.period.start, due.period.end, due.agreed
    return rating.statement(
        metered.usages, metered.meters, agreed.agreement, sheet, start, end, tax_rate=agreed.tax.rate
    )


def taxed(lines: Iterable[Line], agreed: Agreed) -> tuple[Line, ...]:
    rate = agreed.tax.rate
    return tuple(replace(line, tax_rate=rate) for line in lines)


class Sheets:
    """The prices of many tenants as of given versions of the books, read once: of the list, and of each book that the contract names."""

    def __init__(self, agreed: Iterable[Agreed], versions: Mapping[str, int]) -> None:
        self._held = pricebook.sheets({self._key(one) for one in agreed}, versions)

    def of(self, agreed: Agreed) -> rating.PriceSheet:
        return self._held[self._key(agreed)]

    @staticmethod
    def _key(agreed: Agreed) -> tuple[str, pricebook.Books]:
        return (agreed.currency, pricebook.books_of(agreed.agreement))


@dataclass(frozen=True)
class _Group:
    """Those whose usage one question answers: same period, same dimensions and meters of their prices, same moments at which credit begins
    or ends, and at which what is agreed changes.
    """

    cut_at: tuple[datetime, ...]
    changes: tuple[datetime, ...]
    due: list[Due] = field(default_factory=list)


def _together(due: Sequence[Due], sheets: Sheets) -> Iterable[_Group]:
    tenants = {one.tenant.key for one in due}
    cut = {
        period: credit_application.edges(tenants, period.start, period.end) for period in {one.period for one in due}
    }
    groups: dict[Hashable, _Group] = {}
    for one in due:
        sheet = sheets.of(one.agreed)
        cut_at = cut[one.period].get(one.tenant.key, ())
        meters = (sheet.meters(), id(sheet)) if sheet.meters() else None
        changes = usage.changes(one.agreed.agreement)
        key = (one.period, sheet.dimensions(), meters, cut_at, changes)
        groups.setdefault(key, _Group(cut_at, changes)).due.append(one)
    return groups.values()


def cells_of(
    *,
    agreement: Agreement,
    period: Period,
    metered: Metered,
    lines: Iterable[Line],
    sheet: rating.PriceSheet,
    cut_at: Sequence[datetime],
) -> tuple[rating.Cell, ...]:
    """The amounts of usage lines in pieces of time, in proportion to what was used in each. Nothing without a cut."""
    if not cut_at:
        return ()
    spans = list(pairwise((period.start, *cut_at, period.end)))
    quantities = []
    for start, end in spans:
        usages = tuple(one for one in metered.usages if start <= one.start < end)
        piece = rating.statement(usages, (), agreement, sheet, period.start, period.end)
        quantities.append({line.key: line.quantity for line in piece if line.type is LineType.USAGE})
    found = []
    for line in lines:
        weights = [held.get(line.key, exact.ZERO) for held in quantities]
        if line.type is not LineType.USAGE or not line.amount or not any(weights):
            continue
        shares = rating.allocate(line.amount, weights, sheet.currency)
        for (start, end), share in zip(spans, shares, strict=True):
            found.append(rating.Cell(line.key, line.model, start, end, share))
    return tuple(found)
