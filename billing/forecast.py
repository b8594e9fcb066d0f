"""The invoice of a period that has not ended: what it costs so far, and what it will cost if use goes on as in the last days.

The method is simple and says so: the mean of the last seven whole days, as far as the tenant used anything in them, repeated for the time
that is left; then the same prices, tiers, allowances, discounts and commitment as on an invoice. Trends and seasons are not in it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from django.utils import timezone

from billing import adjustments, credits, invoices, pricebook, rating, runs, usage
from billing.agreements import Due, agreements
from billing.contracts import DraftInfo, Forecast
from billing.credits import Charges
from billing.invoicing import Draft, DraftRefused, Sheets, Sums, drafted, lines_of, sums
from billing.rating import Line, exact
from billing.usage import Metered
from metering import public as metering
from metering.contracts import SealInfo

DAYS = 7
DAY = timedelta(days=1)
DAY_S = 86_400
SECOND = timedelta(seconds=1)
BUCKET = timedelta(minutes=15)
ADDS_UP = frozenset({"sum", "count"})  # of meters: what is measured in two spans is the sum of both


def draft(tenant: str) -> DraftInfo:
    """Of the tenant's period that holds this moment. Raises LookupError for an unknown tenant, DraftRefused for impossible usage."""
    info = metering.tenant(tenant)
    if info is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    now = timezone.now()
    agreed = agreements([info], now)[tenant]
    due = Due(info, agreed.period, agreed)
    sheet = Sheets([agreed], pricebook.current_versions()).of(agreed)
    cut_at = credits.edges([tenant], due.period.start, due.period.end).get(tenant, ())
    changes = usage.changes(agreed.agreement)
    metered = usage.current(tenant, usage.edges(due.period, [sheet], (*cut_at, *changes)), sheet)
    seal = metering.latest_seal() or SealInfo(0, now, now)
    made = drafted(due, metered, seal, sheet, cut_at) or Draft(due, seal, {}, (), usage.totals(()))
    if isinstance(made, DraftRefused):
        raise made
    late = adjustments.of_tenants([tenant], adjustments.Late(seal)) if seal.id else {}
    corrections = late[tenant].lines if tenant in late else ()
    made = replace(made, lines=(*made.lines, *(replace(line, tax_rate=agreed.tax.rate) for line in corrections)))
    return _shown(made, now, _forecast(due, metered, sheet, corrections, now))


def _shown(made: Draft, now: datetime, forecast: Forecast | None) -> DraftInfo:
    priced = tuple(line for line in made.lines if line.amount is not None)
    period, currency = made.period, made.currency
    charges = Charges("draft", made.tenant, currency, period.start, period.end, priced, made.cells, made.cut_at)
    applied = credits.preview([charges])["draft"]
    lines = (*priced, *applied.lines)
    owed = sums(lines, currency)
    return DraftInfo(
        tenant=made.tenant,
        currency=currency,
        period_start=period.start,
        period_end=period.end,
        time_zone=made.agreed.zone.key,
        contract=made.agreed.contract,
        as_of=now,
        usage=made.usage,
        lines=invoices.lines_shown(lines, currency),
        taxes=invoices.taxes_shown(owed.taxes, currency),
        subtotal=invoices.payable(owed.subtotal, currency),
        tax=invoices.payable(owed.tax, currency),
        total=invoices.payable(owed.total, currency),
        credits=invoices.payable(applied.credits_applied, currency),
        amount_due=invoices.payable(exact.minus(owed.total, applied.credits_applied), currency),
        problems=tuple(runs.unpriced(made.tenant, made, line) for line in made.unpriced),
        forecast=forecast,
    )


def _forecast(
    due: Due, so_far: Metered, sheet: rating.PriceSheet, corrections: Sequence[Line], now: datetime
) -> Forecast | None:
    """None where usage has no price: a part of a cost would pass for all of it."""
    until = (
        now - (now - due.period.start) % BUCKET
    )  # the quarter of an hour that is not over counts as time that is left
    days = _observed(due, sheet, until)
    rest = usage.edges(replace(due.period, start=until), [sheet], usage.changes(due.agreed.agreement))

    def expected(used: Sequence[Metered]) -> Sums | None:
        lines = (*lines_of(due, _extended(so_far, used, rest), sheet), *corrections)
        return None if any(line.unpriced for line in lines) else sums(lines, sheet.currency)

    each = [expected([day]) for day in days] or [expected([])]
    mean = expected(days)
    totals = [one.total for one in each if one is not None]
    if mean is None or not totals:
        return None
    return Forecast(
        subtotal=invoices.payable(mean.subtotal, sheet.currency),
        total=invoices.payable(mean.total, sheet.currency),
        low=invoices.payable(min(*totals, mean.total), sheet.currency),
        high=invoices.payable(max(*totals, mean.total), sheet.currency),
        days_observed=len(days),
        days_left=Decimal((due.period.end - until) // BUCKET * BUCKET // SECOND) / DAY_S,
        method=_method(len(days)),
    )


def _observed(due: Due, sheet: rating.PriceSheet, until: datetime) -> list[Metered]:
    """The last whole days up to `until`, from the first of them with any usage on."""
    edges = [until - DAY * back for back in range(DAYS, -1, -1)]
    metered = usage.current(due.tenant.key, sorted({*edges, *sheet.changes(edges[0], edges[-1])}), sheet)
    days = [
        Metered(
            tuple(one for one in metered.usages if start <= one.start < end),
            tuple(one for one in metered.meters if start <= one.start < end and _adds_up(one.meter)),
        )
        for start, end in pairwise(edges)
    ]
    used = [place for place, day in enumerate(days) if day]
    return days[used[0] :] if used else []


def _extended(so_far: Metered, days: Sequence[Metered], rest: Sequence[datetime]) -> Metered:
    """With the mean of these days in every day that is left. `rest`: from now to the period's end, cut where prices change."""
    if not days:
        return so_far
    measured = len(days) * DAY_S
    usages, meters = list(so_far.usages), list(so_far.meters)
    for start, end in pairwise(rest):
        seconds = (end - start) // SECOND
        for day in days:
            usages += [_scaled(one, start, end, seconds, measured) for one in day.usages]
            meters += [
                replace(one, start=start, end=end, quantity=one.quantity * seconds / measured) for one in day.meters
            ]
    return Metered(tuple(usages), tuple(meters))


def _scaled(one: rating.Usage, start: datetime, end: datetime, seconds: int, measured: int) -> rating.Usage:
    """Whole tokens, rounded down, so that parts stay within their wholes."""
    tokens = one.tokens
    scaled = rating.Tokens(
        input=tokens.input * seconds // measured,
        cached_input=tokens.cached_input * seconds // measured,
        cache_write=tokens.cache_write * seconds // measured,
        output=tokens.output * seconds // measured,
        reasoning=tokens.reasoning * seconds // measured,
    )
    return replace(one, start=start, end=end, requests=one.requests * seconds // measured, tokens=scaled)


def _adds_up(slug: str) -> bool:
    meter = metering.find_meter(slug)
    return meter is not None and meter.aggregation in ADDS_UP


def _method(days: int) -> str:
    if not days:
        return f"nothing was used in the last {DAYS} days, so nothing more is expected; fees and commitment as agreed"
    which = "day" if days == 1 else f"{days} days"
    return (
        f"the mean of the last {which} goes on until the period ends; prices, tiers, included usage, discounts and commitment as agreed. "
        "Low and high: as if every day left were like the cheapest or the dearest of those days"
    )
