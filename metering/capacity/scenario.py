"""How full each constraint will be at the busiest hour and when it is reached: as things are, or if something changed. Pure, milliseconds.

Demand goes to the pools as it did lately; what is added or moved shares it evenly. docs/capacity.md has the assumptions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from metering.capacity.demands import HIGH, LOW, MEDIAN, Demands, busy, usual
from metering.capacity.fleet import Fleet, Place, Pool, Site
from metering.capacity.limits import ESTIMATED, FAR, LIMITS, Limit
from metering.capacity.seasons import DAY_H

Floats = npt.NDArray[np.float64]

SITE_POWER = "site_power"
WEEK = 7


@dataclass(frozen=True)
class Change:
    """What if. `nodes` are added to the pools of these keys; `caps_w` replace the caps of clusters; `factor` multiplies all demand, and
    `tokens_a_day` makes the mean of the first week so much; `moved`: from the pool of this key, `share` of its requests goes to the place,
    with its GPUs or without; `cached` is the share of prompt tokens that the prefix cache has, in all pools."""

    nodes: Mapping[str, int] = field(default_factory=dict)
    caps_w: Mapping[Place, float] = field(default_factory=dict)
    factor: float = 1.0
    tokens_a_day: float | None = None
    moved: str = ""
    to: Place | None = None
    share: float = 1.0
    with_gpus: bool = False
    cached: float | None = None


@dataclass(frozen=True)
class Reached:
    """Days from the forecast's beginning, 0 the first; None: not within `days`. `earliest` with high demand, `latest` with low."""

    median: int | None
    earliest: int | None
    latest: int | None


@dataclass(frozen=True)
class Use:
    """Of one constraint: how full at the busiest hour up to the horizon (1: at its saturation point; infinite without engines), with median
    and with high demand. `reached` is None where the limit is too uncertain for a date. `gpus`: how many it would take to stay at the
    point, with median and with high demand; None if no number would do."""

    constraint: str
    limit: Limit | None
    used: float
    used_high: float
    reached: Reached | None
    gpus: tuple[int, int] | None


@dataclass(frozen=True)
class PoolOutlook:
    """`input` and `output`: tokens a second of the busiest hour up to the horizon, median. `uses`: the fullest first. `needs`: GPUs for all
    constraints that are known, with median and high demand. `mean_w`: power over the first week."""

    pool: Pool
    input: float
    output: float
    uses: tuple[Use, ...]
    needs: tuple[int, int] | None
    mean_w: float | None


@dataclass(frozen=True)
class SiteOutlook:
    """Power of a cluster's GPUs at the busiest hour, in watts, median and high; None: not known. `needed_w`: with as many GPUs
    as are needed."""

    site: Site
    allowed_w: float | None
    used_w: float | None
    high_w: float | None
    needed_w: float | None
    reached: Reached | None


@dataclass(frozen=True)
class Outlook:
    """`days`: how far the forecasts go, `horizon` how far was looked. `tokens_a_day`: the mean of the first week. `blind`: pools whose
    demand cannot be forecast."""

    days: int
    horizon: int
    tokens_a_day: float
    pools: tuple[PoolOutlook, ...]
    sites: tuple[SiteOutlook, ...]
    blind: tuple[Pool, ...]

    def first(self) -> tuple[PoolOutlook, Use] | None:
        """The constraint that is reached first, with median demand, if one is."""
        dated = [
            (each, use) for each in self.pools for use in each.uses if use.reached and use.reached.median is not None
        ]
        return min(dated, key=lambda both: (both[1].reached.median or 0, -both[1].used), default=None)  # type: ignore[union-attr]


@dataclass(frozen=True)
class _Load:
    """A pool with what its engines are to do: prompt and output tokens a second, shapes (3, days, 24) and (days, 24)."""

    pool: Pool
    prompt: Floats
    output: Floats
    mean_prompt: Floats
    mean_output: Floats

    def scaled(self, by: float) -> "_Load":
        return _Load(self.pool, self.prompt * by, self.output * by, self.mean_prompt * by, self.mean_output * by)

    def plus(self, other: "_Load") -> "_Load":
        return _Load(
            self.pool,
            self.prompt + other.prompt,
            self.output + other.output,
            self.mean_prompt + other.mean_prompt,
            self.mean_output + other.mean_output,
        )

    @cached_property
    def prefill(self) -> Floats:
        return np.asarray(self.prompt * (1 - self.pool.cached))


def outlook(fleet: Fleet, demands: Demands, change: Change, horizon: int) -> Outlook:
    """`horizon` in days; no further than the shortest of the forecasts."""
    seen = [pool for pool in fleet.pools if _known(pool, demands)]
    blind = tuple(pool for pool in fleet.pools if not _known(pool, demands))
    if not seen:
        return Outlook(0, 0, 0.0, (), tuple(_unused(site, change) for site in fleet.sites), blind)
    days = min(demands[pool.demand].days for pool in seen)
    horizon = min(horizon, days)
    held: dict[tuple[str, str], tuple[Floats, ...]] = {}
    loads = [_load(pool, demands, days, held) for pool in seen]
    asked = sum(_asked_a_day(pool, demands) for pool in seen)
    factor = change.factor * (change.tokens_a_day / asked if change.tokens_a_day is not None and asked else 1.0)
    loads = _moved([load.scaled(factor) for load in loads], fleet, change)
    loads = [replace(load, pool=_changed(load.pool, change)) for load in loads]
    pools = tuple(_pool(load, horizon) for load in loads)
    before = {pool.key: pool.gpus for pool in fleet.pools}
    drawn = {site.place: _drawn(site, list(zip(loads, pools, strict=True))) for site in fleet.sites}
    allowed = {site.place: _allowed(site, [load.pool for load in loads], before, change) for site in fleet.sites}
    sites = tuple(_site(site, drawn[site.place], allowed[site.place], horizon) for site in fleet.sites)
    return Outlook(days, horizon, asked * factor, pools, sites, blind)


def _known(pool: Pool, demands: Demands) -> bool:
    return pool.demand in demands and pool.input_ratio is not None and pool.gpus > 0


def _load(pool: Pool, demands: Demands, days: int, held: dict[tuple[str, str], tuple[Floats, ...]]) -> _Load:
    """`held`: what pools of the same demand share."""
    given, made = pool.input_ratio or 0.0, pool.output_ratio or 0.0
    if pool.demand not in held:
        asked = demands[pool.demand]
        held[pool.demand] = (
            *(busy(one, days) for one in (asked.input, asked.output)),
            *(usual(one, days) for one in (asked.input, asked.output)),
        )
    prompt, output, mean_prompt, mean_output = held[pool.demand]
    return _Load(pool, prompt * given, output * made, mean_prompt * given, mean_output * made)


def _asked_a_day(pool: Pool, demands: Demands) -> float:
    """Tokens of requests that this pool serves, the mean of the first week: its engines', as far as requests name them."""
    asked = demands[pool.demand]
    given, made = (float(one.shape.medians[: WEEK * DAY_H].mean()) * DAY_H for one in (asked.input, asked.output))
    return given * (pool.input_ratio or 0.0) + made * (pool.output_ratio or 0.0)


def _moved(loads: list[_Load], fleet: Fleet, change: Change) -> list[_Load]:
    source = next((load for load in loads if load.pool.key == change.moved), None)
    if source is None or change.to is None or change.to == source.pool.place:
        return loads
    pool = source.pool
    goes, stays = source.scaled(change.share), source.scaled(1 - change.share)
    gpus = pool.gpus * change.share if change.with_gpus else 0.0
    nodes = pool.nodes * change.share if change.with_gpus else 0.0
    there = next((load for load in loads if load.pool.model == pool.model and load.pool.place == change.to), None)
    if there is None:
        region, cluster = change.to
        empty = replace(pool, region=region, cluster=cluster, gpus=0.0, nodes=0.0, engines=0.0)
        there = _Load(
            empty,
            *(np.zeros_like(each) for each in (source.prompt, source.output, source.mean_prompt, source.mean_output)),
        )
        loads = [*loads, there]
    arrived = there.plus(goes)
    arrived = replace(arrived, pool=replace(there.pool, gpus=there.pool.gpus + gpus, nodes=there.pool.nodes + nodes))
    left = replace(stays, pool=replace(pool, gpus=pool.gpus - gpus, nodes=pool.nodes - nodes))
    return [arrived if load is there else left if load is source else load for load in loads]


def _changed(pool: Pool, change: Change) -> Pool:
    if added := change.nodes.get(pool.key, 0):
        per_node = pool.gpus_per_node
        pool = replace(pool, gpus=max(pool.gpus + added * per_node, 0.0), nodes=max(pool.nodes + added, 0.0))
    return pool if change.cached is None else replace(pool, cached=change.cached)


def _pool(load: _Load, horizon: int) -> PoolOutlook:
    pool = load.pool
    uses = [_use(pool.limits[name], load, horizon) for name in LIMITS if name in pool.limits]
    uses.sort(key=lambda use: -use.used)
    needs = [use.gpus for use in uses if use.gpus is not None]
    return PoolOutlook(
        pool,
        float(load.prompt[MEDIAN, :horizon].max()),
        float(load.output[MEDIAN, :horizon].max()),
        tuple(uses),
        (max(each[0] for each in needs), max(each[1] for each in needs)) if needs else None,
        _mean_w(load),
    )


def _use(limit: Limit, load: _Load, horizon: int) -> Use:
    line, gpus = limit.line, load.pool.gpus
    if line is None:
        return Use(limit.constraint, limit, float("nan"), float("nan"), None, None)
    risen = (line.per_prefill * load.prefill + line.per_decode * load.output).max(
        axis=2
    )  # of each day's hours the highest
    full = np.maximum(line.base + risen / gpus, 0.0) if gpus > 0 else np.where(risen > 0, np.inf, 0.0)
    sure = limit.state == ESTIMATED
    needed = None
    if limit.state in {ESTIMATED, FAR} and line.base < 1:
        ends = (float(risen[which, :horizon].max()) / (1 - line.base) for which in (MEDIAN, HIGH))
        median, high = (_up(value) for value in ends)
        needed = median, high
    return Use(
        limit.constraint,
        limit,
        float(full[MEDIAN, :horizon].max()),
        float(full[HIGH, :horizon].max()),
        _reached(full) if sure else None,
        needed,
    )


def _up(value: float) -> int:
    """Whole GPUs; what is above a whole number by a rounding error is that number."""
    return ceil(round(value, 9))


def _reached(full: Floats) -> Reached:
    """From how full it is each day: shape (3, days)."""
    first = [int(np.argmax(row >= 1)) if (row >= 1).any() else None for row in full]
    return Reached(first[MEDIAN], first[HIGH], first[LOW])


def _mean_w(load: _Load) -> float | None:
    """Over the first week."""
    line, cached = load.pool.watts, load.pool.cached
    if line is None:
        return None
    prefill = float(load.mean_prompt[:WEEK].mean()) * (1 - cached)
    return load.pool.gpus * line.base + line.grows(prefill, float(load.mean_output[:WEEK].mean()))


def _site(site: Site, drawn: tuple[Floats, float] | None, allowed: float | None, horizon: int) -> SiteOutlook:
    if drawn is None:
        return SiteOutlook(site, allowed, None, None, None, None)
    highest, more = drawn
    median, high = (float(highest[which, :horizon].max()) for which in (MEDIAN, HIGH))
    return SiteOutlook(site, allowed, median, high, median + more, _reached(highest / allowed) if allowed else None)


def _drawn(site: Site, every: Sequence[tuple[_Load, PoolOutlook]]) -> tuple[Floats, float] | None:
    """Watts at the busiest hour of each day, shape (3, days), and how many more the GPUs would draw that are still needed. None: of some
    pool it is not known."""
    highest, more, known = np.zeros(()), 0.0, False
    for load, pool in every:
        if load.pool.place != site.place:
            continue
        line = load.pool.watts
        if line is None:
            return None
        known = True
        risen = line.per_prefill * load.prefill + line.per_decode * load.output
        highest = highest + load.pool.gpus * line.base + risen
        more += max(pool.needs[0] - load.pool.gpus, 0.0) * line.base if pool.needs else 0.0
    return (np.asarray((highest + site.unclaimed_w).max(axis=2)), more) if known else None


def _allowed(site: Site, pools: Sequence[Pool], before: Mapping[str, float], change: Change) -> float | None:
    """The lower of the cap and of the limits of the GPUs that would then be there."""
    here = [pool for pool in pools if pool.place == site.place]
    added = sum((pool.gpus - before.get(pool.key, 0.0)) * (pool.limit_w or 0.0) for pool in here)
    limits = site.limits_w + added if site.limits_w else None
    cap = change.caps_w.get(site.place, site.cap_w)
    known = [value for value in (limits, cap) if value]
    return min(known) if known else None


def _unused(site: Site, change: Change) -> SiteOutlook:
    return SiteOutlook(site, _allowed(site, (), {}, change), None, None, None, None)
