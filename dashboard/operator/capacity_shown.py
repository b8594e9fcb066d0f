"""The capacity page's rows and tiles, from what metering worked out. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan

from dashboard.formats import NOTHING, counted, money, rate
from dashboard.operator import capacity_words as words
from dashboard.operator.capacity_options import place_name, pool_name
from dashboard.operator.tiles import Tile
from metering.public import CAPACITY_SITE_POWER as SITE_POWER
from metering.public import (
    CapacityOutlook,
    CapacityPool,
    CapacityUse,
    DayCost,
    Forecast,
    PoolOutlook,
    SiteOutlook,
)

W_PER_KW = 1000
SHOWN_LIMITS = ("estimated", "far")
Chosen = Callable[[str, str, str], bool]  # of a model, a region and a cluster: whether the filters choose it


@dataclass(frozen=True)
class UseRow:
    """One constraint of a pool. Rates are of the whole pool."""

    constraint: str
    label: str
    limit: str
    limit_span: str
    why: str
    used: str
    meter: float  # 0 to 1
    over: bool
    high: str
    reached: str
    span: str
    rests_on: str
    gpus: str


@dataclass(frozen=True)
class PoolRows:
    key: str
    name: str
    simulated: bool
    link: str
    size: str
    load: str
    rows: tuple[UseRow, ...]


@dataclass(frozen=True)
class SiteRow:
    name: str
    gpus: str
    now: str
    allowed: str
    allowed_by: str
    peak: str
    used: str
    meter: float
    over: bool
    reached: str
    span: str
    per_token: str


@dataclass(frozen=True)
class ChangeRow:
    """A pool as it is and as it would be."""

    name: str
    gpus: str
    binding: str
    before: str
    after: str
    over: bool
    reached: str
    was: str
    needs: str
    nodes: str
    stretched: str


def pool_rows(outlook: CapacityOutlook, begin: datetime | None, link: Callable[[CapacityPool], str]) -> list[PoolRows]:
    """The pool that is fullest first."""
    ordered = sorted(outlook.pools, key=lambda each: -max((use.used for use in each.uses if _told(use)), default=0.0))
    return [_pool(each, begin, outlook.days, link) for each in ordered]


def _pool(each: PoolOutlook, begin: datetime | None, days: int, link: Callable[[CapacityPool], str]) -> PoolRows:
    pool = each.pool
    size = f"{counted(round(pool.gpus), 'GPU')} in {counted(max(round(pool.nodes), 1), 'node')}"
    load = f"busiest hour: {words.compact(each.input)} prompt and {words.compact(each.output)} output tokens/s"
    rows = tuple(_use(use, each, begin, days) for use in each.uses)
    return PoolRows(pool.key, pool_name(pool), pool.simulated, link(pool), size, load, rows)


def _use(use: CapacityUse, each: PoolOutlook, begin: datetime | None, days: int) -> UseRow:
    limit, pool = use.limit, each.pool
    estimated = limit is not None and limit.state == "estimated"
    shown = _told(use)
    return UseRow(
        constraint=use.constraint,
        label=words.LABELS[use.constraint],
        limit=_tokens(limit.at, pool) if limit and estimated else NOTHING,
        limit_span=f"{_tokens(limit.low, pool)} to {_tokens(limit.high, pool)}" if limit and estimated else "",
        why=words.limit_words(limit) if limit else "",
        used=words.full(use.used) if shown else NOTHING,
        meter=min(use.used, 1.0) if shown else 0.0,
        over=shown and use.used >= 1,
        high=words.full(use.used_high) if shown else NOTHING,
        reached=words.date_reached(use.reached, begin, days),
        span=words.date_span(use.reached, begin),
        rests_on=f"{limit.minutes:,}" if limit else NOTHING,
        gpus=_numbers(use.gpus) if estimated else NOTHING,
    )


def _told(use: CapacityUse) -> bool:
    """Whether how full it is can be said."""
    return use.limit is not None and use.limit.state in SHOWN_LIMITS and not isnan(use.used)


def _tokens(per_gpu: float | None, pool: CapacityPool) -> str:
    return words.compact(None if per_gpu is None else per_gpu * pool.gpus)


def _numbers(ends: tuple[int, int] | None) -> str:
    """'12', '12 to 15'."""
    if ends is None:
        return NOTHING
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"


def site_rows(outlook: CapacityOutlook, begin: datetime | None) -> list[SiteRow]:
    return [_site(each, outlook, begin) for each in outlook.sites]


def _site(each: SiteOutlook, outlook: CapacityOutlook, begin: datetime | None) -> SiteRow:
    site, share = each.site, (each.used_w / each.allowed_w if each.used_w is not None and each.allowed_w else None)
    capped = each.allowed_w is not None and each.allowed_w != site.limits_w
    return SiteRow(
        name=place_name(site.place),
        gpus=f"{site.gpus:,}",
        now=_kw(site.now_w),
        allowed=_kw(each.allowed_w),
        allowed_by="cap" if capped else "sum of the GPUs' limits" if each.allowed_w else "not known",
        peak=_kw(each.used_w),
        used=NOTHING if share is None else words.full(share),
        meter=min(share or 0.0, 1.0),
        over=(share or 0.0) >= 1,
        reached=words.date_reached(each.reached, begin, outlook.days),
        span=words.date_span(each.reached, begin),
        per_token=_per_token(site.place, outlook),
    )


def _per_token(place: Sequence[str], outlook: CapacityOutlook) -> str:
    """Joules of one more output token with its prompt, at the mix of each pool: 'llama 0.42 J'."""
    found = []
    for each in outlook.pools:
        pool, line = each.pool, each.pool.watts
        if tuple(pool.place) == tuple(place) and line is not None and each.output > 0:
            joules = line.grows(each.input * (1 - pool.cached), each.output) / each.output
            found.append(f"{pool.model} {rate(joules)} J")
    return ", ".join(found) or NOTHING


def _kw(watts: float | None) -> str:
    return NOTHING if watts is None else rate(watts / W_PER_KW)


def fullest(each: PoolOutlook) -> CapacityUse | None:
    """The constraint that binds first: of those with a limit, the fullest."""
    known = [use for use in each.uses if _told(use)]
    return max(known, key=lambda use: use.used, default=None)


def change_rows(before: CapacityOutlook, after: CapacityOutlook, begin: datetime | None) -> list[ChangeRow]:
    was = {each.pool.key: each for each in before.pools}
    return [_change(was.get(each.pool.key), each, begin, after.days) for each in after.pools]


def _change(was: PoolOutlook | None, each: PoolOutlook, begin: datetime | None, days: int) -> ChangeRow:
    use, old = fullest(each), fullest(was) if was else None
    per_node = each.pool.gpus_per_node if each.pool.nodes > 0 else (was.pool.gpus_per_node if was else 1.0)
    more = None if each.needs is None else max(each.needs[0] - each.pool.gpus, 0.0)
    return ChangeRow(
        name=pool_name(each.pool),
        gpus=f"{round(each.pool.gpus):,}",
        binding=words.LABELS[use.constraint] if use else NOTHING,
        before=words.full(old.used) if old else NOTHING,
        after=words.full(use.used) if use else NOTHING,
        over=bool(use and use.used >= 1),
        reached=words.date_reached(use.reached, begin, days) if use else NOTHING,
        was=words.date_reached(old.reached, begin, days) if old else NOTHING,
        needs=_numbers(each.needs),
        nodes=NOTHING if more is None else "none" if more <= 0 else f"{-(-more // max(per_node, 1e-9)):,.0f}",
        stretched=_stretched(use, each),
    )


def _stretched(use: CapacityUse | None, each: PoolOutlook) -> str:
    """How far the answer lies above what was seen, where that is far."""
    if use is None or use.limit is None or each.pool.gpus <= 0:
        return ""
    if use.limit.state == "far":
        return f"a guess: its limit lies {use.limit.stretch or 0:.0f} times above the highest load that was seen"
    return ""


def answer(after: CapacityOutlook, before: DayCost, cost: DayCost, cost_needed: DayCost) -> dict[str, str]:
    """The what-if's sums; costs of a day as things are, with the change, and with the GPUs that it needs."""
    needed = [each.needs[0] for each in after.pools if each.needs]
    power = [each.needed_w for each in after.sites if each.needed_w is not None]
    return {
        "tokens": words.compact(after.tokens_a_day),
        "gpus": f"{round(sum(each.pool.gpus for each in after.pools)):,}",
        "needed": f"{sum(needed):,}" if needed else NOTHING,
        "kw": _kw(sum(power)) if power else NOTHING,
        "cost_before": _cost(before),
        "cost": _cost(cost),
        "cost_needed": _cost(cost_needed),
        "unpriced": words.joined(cost.unpriced),
    }


def _cost(cost: DayCost) -> str:
    return " and ".join(money(amount, currency) for currency, amount in cost.total.items()) or NOTHING


def headline(outlook: CapacityOutlook, begin: datetime | None) -> tuple[str, str]:
    """What is reached first and when; and how sure that is."""
    dated = [
        (use.reached, f"{words.LABELS[use.constraint]} of {pool_name(each.pool)}")
        for each in outlook.pools
        for use in each.uses
        if use.reached
    ]
    dated += [
        (each.reached, f"{words.LABELS[SITE_POWER]} of {place_name(each.site.place)}")
        for each in outlook.sites
        if each.reached
    ]
    if not dated:
        return "Which limit comes first cannot be told yet.", "The table says what each constraint lacks."
    within = [(reached.median, reached, name) for reached, name in dated if reached.median is not None]
    if not within:
        days = counted(outlook.days, "day")
        return (
            f"No measured limit is reached within {days}.",
            "By the median forecast; constraints without an estimate are not counted.",
        )
    _, reached, name = min(within, key=lambda each: each[0])
    span = words.date_span(reached, begin)
    return (
        f"{name} is reached first: {words.date_reached(reached, begin, outlook.days)}.",
        f"90 % interval: {span}." if span else "",
    )


def tiles(outlook: CapacityOutlook, forecasts: dict[str, Forecast]) -> list[Tile]:
    tokens = (("input", "Input tokens a day"), ("output", "Output tokens a day"))
    return [
        *(_tokens_tile(key, label, forecasts.get(key)) for key, label in tokens),
        _gpus_tile(outlook),
        _power_tile(outlook),
    ]


def _tokens_tile(key: str, label: str, forecast: Forecast | None) -> Tile:
    if forecast is None:
        return Tile(key, label, NOTHING, "", "no forecast yet")
    days = forecast.shape.medians.reshape(-1, 24).sum(axis=1)
    then = f"{words.compact(float(days[-7:].mean()))} in {counted(forecast.days, 'day')}"
    note = f"over the next week; {words.signed_percent(words.growth(forecast))} a week now, {then}"
    return Tile(key, label, words.compact(float(days[:7].mean())), "", note)


def _gpus_tile(outlook: CapacityOutlook) -> Tile:
    if not outlook.pools:
        return Tile("gpus", "GPUs that serve", NOTHING, "", "no engine of a known demand")
    gpus = sum(each.pool.gpus for each in outlook.pools)
    needs = [(each.needs[0], each.pool.gpus) for each in outlook.pools if each.needs]
    more = sum(max(needed - there, 0.0) for needed, there in needs)
    note = f"{more:,.0f} more for the busiest hour in {counted(outlook.horizon, 'day')}"
    note = note if needs else "how many are needed is not known yet"
    return Tile("gpus", "GPUs that serve", f"{round(gpus):,}", "", note, "bad" if more >= 1 else "")


def _power_tile(outlook: CapacityOutlook) -> Tile:
    drawn = [each.site.now_w for each in outlook.sites if each.site.now_w is not None]
    allowed = [each.allowed_w for each in outlook.sites if each.allowed_w]
    complete = bool(allowed) and len(allowed) == len(outlook.sites)
    note = f"of {_kw(sum(allowed))} kW allowed" if complete else "caps are not known"
    return Tile("power", "GPU power, last measured", _kw(sum(drawn)) if drawn else NOTHING, "kW" if drawn else "", note)
