"""From an invoice line down to the hours and the requests that it is made of, to the cent.

A line's exact amount is shared out in proportion to what was used, since no unit of a line is dearer than another: with tiers and included
usage the line has one average price. The rounded amount goes to hours by largest remainder, an hour's to its minutes, a minute's to its
requests: so each level adds up to the one above, and a page of requests needs no more than some minutes of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import dropwhile

from billing import rating, rerating, usage
from billing.adjustments import AFTER_SEAL
from billing.models import Invoice, InvoiceLine
from billing.rating import LineType, exact
from billing.rating.allocation import spread
from billing.rating.rounding import EXACT_PLACES
from billing.stored import final_invoice
from metering import public as metering
from metering.contracts import SealInfo
from metering.public import SliceRequest, SliceSum, UsageSlice

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOST_IN_PAGE = 5_000  # events that one question may bring, beside those of its last minute

Position = tuple[datetime, str, str]  # of a request: time, source, id


class UnknownLine(LookupError):
    """The invoice has no line of that number."""


class NotUsage(ValueError):
    """A line that no single requests stand behind: a fee, a discount, a credit."""


@dataclass(frozen=True)
class Share:
    """What of a line falls on a span of time: `amount` in whole minor units, `amount_exact` before rounding. Of `requests` some may have
    nothing on the line, such as those without a cached token: the ledger has sums only.
    """

    start: datetime
    end: datetime
    requests: int
    quantity: int
    amount_exact: Decimal
    amount: Decimal

    @property
    def residual(self) -> Decimal:
        return exact.minus(self.amount_exact, self.amount)


@dataclass(frozen=True)
class RequestShare:
    """What of a line falls on one request; `request.quantity` is what of it the line counts."""

    request: SliceRequest
    amount_exact: Decimal
    amount: Decimal

    @property
    def residual(self) -> Decimal:
        return exact.minus(self.amount_exact, self.amount)


@dataclass(frozen=True)
class LineUsage:
    """One line and its hours. `missing`: of its quantity what no hour accounts for, 0 unless the ledger was tampered with."""

    invoice: Invoice
    line: InvoiceLine
    hours: tuple[Share, ...]
    missing: Decimal


@dataclass(frozen=True)
class Page:
    """`after`: where the next page begins; None: this is the last."""

    currency: str
    requests: tuple[RequestShare, ...]
    after: Position | None


@dataclass(frozen=True)
class _Source:
    """Where a line's usage is found: whose, which, and what arrived between two seals."""

    tenant: str
    slices: tuple[UsageSlice, ...]
    as_of: SealInfo
    after: SealInfo | None


def hours(number: str, position: int, tenant: str | None = None) -> LineUsage:
    """`tenant` None: anybody's invoice. Raises stored.UnknownInvoice, UnknownLine, NotUsage."""
    invoice, line = _line(number, position, tenant)
    return _hours(invoice, line, _source(invoice, line))


def requests(
    number: str,
    position: int,
    tenant: str | None = None,
    *,
    hour: datetime | None = None,
    after: Position | None = None,
    limit: int = 100,
) -> Page:
    """The requests of a line in the order of time, or of one hour of it. `after`: behind this one. Raises as `hours` does."""
    invoice, line = _line(number, position, tenant)
    source = _source(invoice, line)
    wanted = [one for one in _hours(invoice, line, source).hours if hour is None or one.start == hour]
    if after is not None:
        wanted = list(dropwhile(lambda one: one.end <= after[0], wanted))
    found: list[RequestShare] = []
    for each in wanted:
        for minutes in _runs(_minutes(source, each, invoice.currency), after, limit - len(found)):
            found += [one for one in _requests(source, minutes, invoice.currency) if _behind(one, after)]
            if len(found) > limit:
                page = tuple(found[:limit])
                return Page(invoice.currency, page, page[-1].request.position)
    return Page(invoice.currency, tuple(found), None)


def _line(number: str, position: int, tenant: str | None) -> tuple[Invoice, InvoiceLine]:
    invoice = final_invoice(number, tenant)
    line = invoice.lines.filter(position=position).select_related("origin").first()
    if line is None:
        raise UnknownLine(f"invoice {number} has no line {position}")
    return invoice, line


def _source(invoice: Invoice, line: InvoiceLine) -> _Source:
    """Of an adjustment: the late usage of the invoice that it corrects, under the prices of that one."""
    if line.kind.startswith(rating.METER):
        raise NotUsage(f"line {line.position} is of a meter: its events are under /api/v1/meters")
    if line.type == LineType.USAGE:
        basis, after = rerating.bases([invoice])[invoice.pk], None
    elif line.type == LineType.ADJUSTMENT and line.origin is not None and line.kind and AFTER_SEAL in line.detail:
        basis, after = rerating.bases([line.origin])[line.origin.pk], metering.seal_info(line.detail[AFTER_SEAL])
    else:
        raise NotUsage(f"line {line.position} is a {line.type.replace('_', ' ')}: it is not made of requests")
    seal = rerating.seal_of(invoice)
    return _Source(invoice.tenant, _slices(basis, line.key, seal), seal, after)


def _slices(basis: rerating.Basis, key: str, seal: SealInfo) -> tuple[UsageSlice, ...]:
    """Which usage is on the line of that key: found by rating all of the period's, as the invoice was made."""
    period = rerating.period_of(basis.invoice)
    cuts = usage.edges(period, [basis.sheet], usage.changes(basis.agreement))
    metered = usage.sealed([basis.invoice.tenant], cuts, basis.sheet, seal).get(basis.invoice.tenant, usage.NOTHING)
    costed = rating.costed(metered.usages, (), basis.agreement, basis.sheet, period.start, period.end)
    found = []
    for used, parts in zip(metered.usages, costed, strict=True):
        kinds = tuple(dict.fromkeys(part.kind for part in parts if part.line_key == key))
        if kinds:
            values = tuple((name, getattr(used, name)) for name in basis.sheet.dimensions())
            found.append(UsageSlice(used.start, used.end, values, kinds))
    return tuple(found)


def _hours(invoice: Invoice, line: InvoiceLine, source: _Source) -> LineUsage:
    sums = metering.slice_hours(source.tenant, source.slices, source.as_of, source.after)
    shares = _shared(sums, HOUR, line.amount_exact, line.amount, invoice.currency)
    counted = exact.total(Decimal(one.quantity) for one in sums)
    return LineUsage(invoice, line, tuple(shares), exact.minus(line.quantity, counted))


def _minutes(source: _Source, hour: Share, currency: str) -> list[Share]:
    span = (hour.start, hour.end)
    sums = metering.slice_minutes(source.tenant, source.slices, span, source.as_of, source.after)
    return list(_shared(sums, MINUTE, hour.amount_exact, hour.amount, currency))


def _runs(minutes: Sequence[Share], after: Position | None, wanted: int) -> Iterator[list[Share]]:
    """Minutes that follow each other, in runs of about as many requests as are still wanted."""
    run: list[Share] = []
    for minute in minutes:
        if after is not None and minute.end <= after[0]:
            continue
        run.append(minute)
        if sum(one.requests for one in run) > min(wanted, MOST_IN_PAGE):
            yield run
            run = []
    if run:
        yield run


def _requests(source: _Source, minutes: Sequence[Share], currency: str) -> Iterator[RequestShare]:
    span = (minutes[0].start, minutes[-1].end)
    found = metering.slice_requests(source.tenant, source.slices, span, source.as_of, source.after)
    by_minute: dict[datetime, list[SliceRequest]] = {}
    for one in found:
        by_minute.setdefault(one.time.replace(second=0, microsecond=0), []).append(one)
    for minute in minutes:
        held = by_minute.get(minute.start, [])
        weights = [Decimal(one.quantity) for one in held]
        if held:
            amounts = rating.allocate(minute.amount, weights, currency)
            exacts = spread(minute.amount_exact, weights, EXACT_PLACES)
            yield from map(RequestShare, held, exacts, amounts)


def _shared(
    sums: Sequence[SliceSum], length: timedelta, amount_exact: Decimal, amount: Decimal, currency: str
) -> Iterator[Share]:
    """The sums with their parts of an amount."""
    if sums:
        weights = [Decimal(one.quantity) for one in sums]
        exacts = spread(amount_exact, weights, EXACT_PLACES)
        amounts = rating.allocate(amount, weights, currency)
        for one, part_exact, part in zip(sums, exacts, amounts, strict=True):
            yield Share(one.start, one.start + length, one.requests, one.quantity, part_exact, part)


def _behind(one: RequestShare, after: Position | None) -> bool:
    return after is None or one.request.position > after
