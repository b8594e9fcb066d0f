"""The page of capacity: demand to come, what each constraint takes, when it is reached, and what would be if. Nothing is fitted here."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard import figures_capacity as figures
from dashboard.figures import Figure
from dashboard.operator import capacity_options as options
from dashboard.operator import capacity_shown as shown
from dashboard.operator import capacity_words as words
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.shelf import SHELF
from metering.public import (
    CapacityChange,
    CapacityOutlook,
    CapacityPool,
    DemandOutlook,
    FleetOutlook,
    Forecast,
    LivePoint,
    MeasuredDemand,
    capacity_costs,
    capacity_outlook,
    demand_outlook,
    fleet_outlook,
    live_series,
)

FRESH_S, SINCE_FRESH_S, OUTLOOK_FRESH_S = 4.9, 60.0, 20.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DRAWN_AHEAD_H = 7 * 24
PEAKS_DRAWN = 90
MOST_BARS = 12
UNITS = {"input": "tokens / s", "output": "tokens / s", "requests": "requests / s"}
OF = {"input": "the input tokens", "output": "the output tokens", "requests": "the requests"}
HOUR_S = 3600
NOTHING = CapacityChange()


@dataclass(frozen=True)
class Read:
    now: datetime
    measure: str
    demand: DemandOutlook
    found: FleetOutlook
    before: CapacityOutlook  # of the pools that the filters choose
    after: CapacityOutlook | None  # None: no what-if
    change: CapacityChange
    since: tuple[LivePoint, ...]

    @property
    def measured(self) -> MeasuredDemand | None:
        return self.demand.measures.get(self.measure)

    @property
    def forecast(self) -> Forecast | None:
        return self.measured.forecast if self.measured else None

    @property
    def begin(self) -> datetime | None:
        """Of the forecasts of pools: where their days are counted from."""
        return next((asked.input.begin for asked in self.found.demands.values()), None)

    @property
    def whole(self) -> bool:
        """Whether what is charted is what the pools shown serve: they serve all customers and tiers."""
        return not (self.demand.scope.tenant or self.demand.scope.tier)


def _read(filters: Filters, ids: Ids) -> Shown:
    read = _taken(filters, datetime.now(UTC))
    return Shown(read.now, _context(filters, read), _figures(read))


def _taken(filters: Filters, now: datetime) -> Read:
    scope = filters.scope
    demand = SHELF.kept(("capacity-demand", scope), FRESH_S, lambda: demand_outlook(scope, now))
    found = SHELF.kept("capacity-fleet", FRESH_S, lambda: fleet_outlook(now))
    horizon = int(filters.option(options.AHEAD))
    before = _outlook(found, NOTHING, horizon)
    change = options.change_of(filters, found.fleet)
    after = _outlook(found, change, horizon) if options.asked(filters) else None
    since: tuple[LivePoint, ...] = ()
    if demand.until and now - demand.until > HOUR:
        whole = now.replace(minute=0, second=0, microsecond=0)
        start = max(demand.until, whole - 14 * DAY)
        key = ("capacity-since", scope, start)
        since = SHELF.kept(key, SINCE_FRESH_S, lambda: tuple(live_series(scope, start, HOUR, whole)))
    return Read(
        now,
        filters.option(options.MEASURE),
        demand,
        found,
        _narrowed(before, filters),
        _narrowed(after, filters) if after else None,
        change,
        since,
    )


def _outlook(found: FleetOutlook, change: CapacityChange, horizon: int) -> CapacityOutlook:
    key = ("capacity-outlook", found.made_at, repr(change), horizon)
    return SHELF.kept(key, OUTLOOK_FRESH_S, lambda: capacity_outlook(found, change, horizon))


def _narrowed(outlook: CapacityOutlook, filters: Filters) -> CapacityOutlook:
    """Pools and clusters that the filters choose; what a cluster draws stays that of all its pools."""

    def chosen(region: str, cluster: str) -> bool:
        return filters.region in {"", region} and filters.cluster in {"", cluster}

    def serves(pool: CapacityPool) -> bool:
        return chosen(pool.region, pool.cluster) and filters.model in {"", pool.model}

    return replace(
        outlook,
        pools=tuple(each for each in outlook.pools if serves(each.pool)),
        sites=tuple(each for each in outlook.sites if chosen(*each.site.place)),
        blind=tuple(pool for pool in outlook.blind if serves(pool)),
    )


def _context(filters: Filters, read: Read) -> dict[str, Any]:
    forecasts = {name: one.forecast for name, one in read.demand.measures.items() if one.forecast}
    lead, advice = shown.headline(read.before, read.begin)
    score = read.measured.score if read.measured else None
    fleet = read.found.fleet
    return {
        "waiting_demand": read.demand.made_at is None,
        "waiting_fleet": read.found.made_at is None,
        "made_at": read.demand.made_at,
        "ever": bool(read.demand.history_h),
        "lead": lead,
        "advice": advice,
        "tiles": shown.tiles(read.before, forecasts),
        "history": words.history_words(read.demand, read.forecast),
        "judged": words.judged(score, OF[read.measure]) if read.demand.made_at and read.forecast else "",
        "capacity_scoped": read.whole,
        "pools": shown.pool_rows(read.before, read.begin, lambda pool: _link(filters, pool)),
        "blind": [options.pool_name(pool) for pool in read.before.blind],
        "missing": fleet.missing,
        "measured": _measured(read),
        "sites": shown.site_rows(read.before, read.begin),
        **options.form(filters, fleet, read.before.horizon or int(filters.option(options.AHEAD))),
        **_answer(read),
    }


def _answer(read: Read) -> dict[str, Any]:
    if read.after is None:
        return {"changed": False}
    before, after, needed = capacity_costs(read.before, read.after, read.now)
    return {
        "changed": True,
        "changes": shown.change_rows(read.before, read.after, read.begin),
        "changed_sites": shown.site_rows(read.after, read.begin),
        "answer": shown.answer(read.after, before, after, needed),
    }


def _link(filters: Filters, pool: CapacityPool) -> str:
    narrowed = replace(filters, model=pool.model, region=pool.region, cluster="")
    return f"?{narrowed.query()}"


def _measured(read: Read) -> str:
    """What the limits rest on, in words."""
    fleet = read.found.fleet
    if not fleet.measured_until:
        return ""
    start, end = (datetime.fromtimestamp(at, UTC) for at in (fleet.measured_from, fleet.measured_until))
    blocks = "hours" if fleet.block_s == HOUR_S else "ten minutes, for there are less than three days of them"
    return f"{start:%-d %b %H:%M} to {end:%-d %b %H:%M}, in blocks of {blocks}"


def _figures(read: Read) -> dict[str, Figure]:
    unit, labels = UNITS[read.measure], words.LABELS
    drawn: dict[str, Figure] = {
        "chart-demand": figures.demand_figure((), (), None, ((), ()), unit),
        "chart-peaks": figures.peaks_figure((), (), None, (), unit),
        "chart-use": figures.use_figure((), {}, labels),
    }
    demand, measured, forecast = read.demand, read.measured, read.forecast
    if demand.until and measured:
        recent = [demand.until - HOUR * back for back in range(len(measured.recent), 0, -1)]
        peaks = measured.peaks[-PEAKS_DRAWN:]
        days = [demand.until - DAY * back for back in range(len(peaks), 0, -1)]
        since = read.since if forecast else ()
        came = [point.start for point in since], [_amount(point, read.measure) for point in since]
        drawn["chart-demand"] = figures.demand_figure(
            recent, _rates(measured.recent), _hours(forecast) if forecast else None, came, unit
        )
        drawn["chart-peaks"] = figures.peaks_figure(
            days, _rates(peaks), _days(forecast) if forecast else None, _levels(read), unit
        )
    drawn["chart-use"] = _uses(read.after or read.before)
    return drawn


def _rates(hourly: Any) -> list[float]:
    return [float(value) / HOUR_S for value in hourly]


def _hours(forecast: Forecast) -> figures.Fan:
    count = min(DRAWN_AHEAD_H, forecast.days * 24)
    at = [forecast.begin + HOUR * index for index in range(count)]
    low, lower, upper, high = (_rates(forecast.hours_at(index)[:count]) for index in range(4))
    return figures.Fan(at, _rates(forecast.shape.medians[:count]), (low, lower, upper, high))


def _days(forecast: Forecast) -> figures.Fan:
    at = [forecast.begin + DAY * index for index in range(forecast.days)]
    low, lower, upper, high = (_rates(forecast.peaks_at(index)) for index in range(4))
    return figures.Fan(at, _rates(forecast.peaks_at(None)), (low, lower, upper, high))


def _levels(read: Read) -> list[figures.Level]:
    """Of each constraint, how much of what is charted brings the first of the pools to it, if all of them grow alike."""
    forecast = read.forecast
    if forecast is None or not read.whole or not read.before.pools:
        return []
    peak = float(forecast.peaks_at(None)[: read.before.horizon].max()) / HOUR_S
    fullest: dict[str, tuple[float, str]] = {}
    for each in read.before.pools:
        for use in each.uses:
            if use.limit and use.limit.state == "estimated" and use.used > fullest.get(use.constraint, (0.0, ""))[0]:
                fullest[use.constraint] = (use.used, options.pool_name(each.pool))
    return [
        figures.Level(name, f"{words.LABELS[name]}: {pool}", peak / used)
        for name, (used, pool) in fullest.items()
        if 0 < used < float("inf")
    ]


def _uses(outlook: CapacityOutlook) -> Figure:
    """The fullest pools."""
    known = [(each, {use.constraint: use.used for use in each.uses if _drawable(use)}) for each in outlook.pools]
    known = sorted((both for both in known if both[1]), key=lambda both: -max(both[1].values()))[:MOST_BARS]
    present = [name for name in figures.USE_LOOK if any(name in uses for _, uses in known)]
    numbers = {name: [uses.get(name) for _, uses in known] for name in present}
    names = [f"{each.pool.model}<br>{options.place_name(each.pool.place)}" for each, _ in known]
    return figures.use_figure(names, numbers, words.LABELS)


def _drawable(use: Any) -> bool:
    return use.limit is not None and use.limit.state in shown.SHOWN_LIMITS and use.used < float("inf")


def _amount(point: LivePoint, measure: str) -> float:
    counts = point.counts
    amounts = {"input": counts.input_tokens, "output": counts.output_tokens, "requests": counts.requests}
    return amounts[measure] / HOUR_S


PAGE = Page(
    key="capacity",
    title="Capacity",
    template="operator/capacity.html",
    section="capacity",
    read=_read,
    parts={
        "capacity-state": "operator/_capacity_state.html",
        "capacity-tiles": "operator/_tiles.html",
        "capacity-judged": "operator/_capacity_judged.html",
        "capacity-limits": "operator/_capacity_limits.html",
        "capacity-answer": "operator/_capacity_answer.html",
    },
    options=options.OPTIONS,
    ranges=(),
    every_s=5.0,
    compares=False,
)
