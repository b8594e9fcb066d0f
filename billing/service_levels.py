"""Service levels: what contracts promise, measured on the tenant's own requests of the period, and the credit for what was missed.

Measured are the events that the invoice bills, each once, as of its watermark: so an audit measures the same. Late events of a period
change its bill, not the verdict. Tenants whose contracts promise nothing cost no query.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any

from billing import rating, usage
from billing.agreements import Agreed
from billing.contracts import Period
from billing.invoicing import Draft, DraftRefused, Key, Sheets, taxed
from billing.rating import exact
from billing.rating.lines import Line
from billing.rating.service_credits import Breach, promises, service_credits, usage_after_discounts
from billing.rating.stretches import Holding
from billing.rating.terms import Agreement, Measure, Objective
from billing.rerating import Basis, period_of, seal_of
from billing.usage import Metered
from metering import public as metering
from metering.contracts import SealInfo
from metering.public import ServiceFigures

WORST_HOURS = 3
NAMES = {
    Measure.TTFT_P95_MS: "p95 time to first token",
    Measure.TPOT_P95_MS: "p95 time per output token",
    Measure.AVAILABILITY: "availability",
}
Spans = tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class Ask:
    """What one tenant was promised for a period, and what it used: all that its service credits follow from."""

    tenant: str
    period: Period
    agreement: Agreement
    sheet: rating.PriceSheet
    metered: Metered
    seal: SealInfo


@dataclass(frozen=True)
class Verdict:
    """`value`: what was measured over `requests`; None where nothing was. Fewer than the least number of requests give no verdict."""

    promise: Holding[Objective]
    value: Decimal | None
    requests: int
    missed: bool


def added(drafts: Mapping[Key, Draft | DraftRefused]) -> dict[Key, Draft | DraftRefused]:
    """The drafts, with the service credits that are owed."""
    found = dict(drafts)
    promised = {key: draft for key, draft in drafts.items() if isinstance(draft, Draft) and _promises(draft.agreed)}
    if promised:
        asks = _asks(promised)
        for (key, draft), lines in zip(promised.items(), credits_for(asks), strict=True):
            found[key] = replace(draft, lines=(*draft.lines, *taxed(lines, draft.agreed)))
    return found


def of_invoice(basis: Basis, metered: Metered) -> tuple[Line, ...]:
    """The service credits of a stored invoice, made again from what was metered for it. Without tax rates."""
    invoice = basis.invoice
    if not promises(basis.agreement):
        return ()
    ask = Ask(invoice.tenant, period_of(invoice), basis.agreement, basis.sheet, metered, seal_of(invoice))
    return credits_for([ask])[0]


def credits_for(asks: Sequence[Ask]) -> list[tuple[Line, ...]]:
    """The lines of each, in the order given. Tenants with promises for the same time are measured together."""
    return [_credits(ask, found) for ask, found in zip(asks, verdicts(asks), strict=True)]


def verdicts(asks: Sequence[Ask]) -> list[list[Verdict]]:
    """On every promise of each."""
    wanted: dict[tuple[Spans, SealInfo], list[str]] = {}
    held = [[(promise, _spans(promise, ask.agreement)) for promise in promises(ask.agreement)] for ask in asks]
    for ask, mine in zip(asks, held, strict=True):
        for _, spans in mine:
            wanted.setdefault((spans, ask.seal), []).append(ask.tenant)
    figures = {
        (spans, seal): metering.service_figures(sorted(set(tenants)), spans, seal)
        for (spans, seal), tenants in wanted.items()
    }
    return [
        [_verdict(promise, figures[spans, ask.seal].get((ask.tenant, promise.item.model))) for promise, spans in mine]
        for ask, mine in zip(asks, held, strict=True)
    ]


def _credits(ask: Ask, found: Iterable[Verdict]) -> tuple[Line, ...]:
    breaches = [_breach(ask, verdict) for verdict in found if verdict.missed]
    if not breaches:
        return ()
    period, metered = ask.period, ask.metered
    charged = usage_after_discounts(
        metered.usages,
        metered.meters,
        ask.agreement,
        ask.sheet,
        period_start=period.start,
        period_end=period.end,
    )
    return service_credits(breaches, charged, ask.sheet.currency)


def _verdict(promise: Holding[Objective], figures: ServiceFigures | None) -> Verdict:
    if figures is None:
        return Verdict(promise, None, 0, False)
    item = promise.item
    value, requests = _measured(item.measure, figures)
    if value is None or requests < item.least_requests:
        return Verdict(promise, value, requests, False)
    if item.measure == Measure.AVAILABILITY:  # compared before it is rounded
        good = exact.minus(Decimal(requests), Decimal(figures.errors))
        return Verdict(promise, value, requests, good < exact.times(item.threshold, Decimal(requests)))
    return Verdict(promise, value, requests, value > item.threshold)


def _measured(measure: Measure, figures: ServiceFigures) -> tuple[Decimal | None, int]:
    """The value, and on how many requests it stands."""
    match measure:
        case Measure.TTFT_P95_MS:
            return figures.ttft_p95_ms, figures.ttft_measured
        case Measure.TPOT_P95_MS:
            return figures.tpot_p95_ms, figures.tpot_measured
    good = Decimal(figures.requests - figures.errors)
    return (good / figures.requests).quantize(Decimal("0.000001")) if figures.requests else None, figures.requests


def _breach(ask: Ask, verdict: Verdict) -> Breach:
    item = verdict.promise.item
    spans = _spans(verdict.promise, ask.agreement)
    value = exact.plain(verdict.value or exact.ZERO)
    evidence = {
        "code": item.code,
        "measure": str(item.measure),
        "model": item.model,
        "threshold": exact.plain(item.threshold),
        "value": value,
        "requests": verdict.requests,
        "least_requests": item.least_requests,
        "as_of": ask.seal.watermark.isoformat(),
        "spans": [[start.isoformat(), end.isoformat()] for start, end in spans],
        "worst_hours": _worst_hours(ask, item, spans),
    }
    return Breach(verdict.promise, _said(item, value, verdict.requests), evidence)


def _said(item: Objective, value: str, requests: int) -> str:
    whose = "all models" if item.model == metering.ALL_MODELS else item.model
    missed = "below" if item.measure == Measure.AVAILABILITY else "above"
    unit = "" if item.measure == Measure.AVAILABILITY else " ms"
    limit = f"{exact.plain(item.threshold)}{unit}"
    return f"{NAMES[item.measure]} of {whose} was {value}{unit} over {requests:,} requests, {missed} {limit}"


def _worst_hours(ask: Ask, item: Objective, spans: Spans) -> list[dict[str, Any]]:
    """The hours that were furthest off, the worst first."""
    hours = metering.service_hours(ask.tenant, item.model, spans, ask.seal)
    measured = [(hour, *_measured(item.measure, figures)) for hour, figures in hours.items()]
    sign = 1 if item.measure == Measure.AVAILABILITY else -1
    known = [(sign * value, hour, value, requests) for hour, value, requests in measured if value is not None]
    return [
        {"hour": hour.isoformat(), "value": exact.plain(value), "requests": requests}
        for _, hour, value, requests in sorted(known)[:WORST_HOURS]
    ]


def _spans(promise: Holding[Objective], agreement: Agreement) -> Spans:
    """When the promise held: its stretches, those that follow each other joined."""
    spans: list[tuple[datetime, datetime]] = []
    for number in promise.stretches:
        stretch = agreement.stretches[number]
        if spans and spans[-1][1] == stretch.start:
            spans[-1] = (spans[-1][0], stretch.end)
        else:
            spans.append((stretch.start, stretch.end))
    return tuple(spans)


def _promises(agreed: Agreed) -> bool:
    return any(stretch.terms.objectives for stretch in agreed.agreement.stretches)


def _asks(drafts: Mapping[Key, Draft]) -> list[Ask]:
    """Usage is read again, cut where the agreement changes: tenants of one period and the same prices together."""
    versions = dict(chain.from_iterable(draft.price_versions.items() for draft in drafts.values()))
    sheets = Sheets([draft.agreed for draft in drafts.values()], versions)
    groups: dict[tuple[Period, int, tuple[datetime, ...]], list[Draft]] = {}
    for draft in drafts.values():
        changes = usage.changes(draft.agreed.agreement)
        groups.setdefault((draft.period, id(sheets.of(draft.agreed)), changes), []).append(draft)
    metered: dict[Key, Metered] = {}
    for (period, _, changes), group in groups.items():
        sheet = sheets.of(group[0].agreed)
        cuts = usage.edges(period, [sheet], changes)
        used = usage.sealed([draft.tenant for draft in group], cuts, sheet, group[0].seal)
        metered |= {draft.key: used.get(draft.tenant, usage.NOTHING) for draft in group}
    return [
        Ask(draft.tenant, draft.period, draft.agreed.agreement, sheets.of(draft.agreed), metered[key], draft.seal)
        for key, draft in drafts.items()
    ]
