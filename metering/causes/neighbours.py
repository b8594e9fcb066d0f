"""Noisy neighbours: customers whose load moves the latency of others on the same model.

Minutes in which a customer's load is high are compared with minutes in which it is low *and the others' own load is alike*: so what the
others do themselves, or the hour of the day, is not put down to the neighbour. And the load has to come before the latency, or with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, sqrt
from statistics import mean, median

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.live_sources import Subset
from metering.clickhouse.queries.neighbours import MEASURES, OthersLatency, PairLoads, PairMinutes
from metering.live import LiveScope
from metering.telemetry.spans import minute_of

TIMEOUT_S = 10.0
LONGEST = timedelta(hours=6)
CANDIDATES = 6
LEAST_SHARE = 0.1  # of the model's tokens, in its loud minutes
LEAST_SWING = 1.5  # of its own load, loud minutes over quiet ones
ALIKE = 0.2  # the others' load in a loud and a quiet minute, at most this far apart
LEAST_MINUTES, MOST_MINUTES = 8, 15  # of each kind: sketches of more take too long to merge
SLOWER = 1.15  # others' p95, loud over quiet
LEAST_CORRELATION = 0.3
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Others' p95 of `measure` (ttft_ms or tpot_ms) on `model` in `minutes` loud minutes of `tenant` and as many quiet ones.

    `share_of_load`: of the model's tokens in the loud minutes. `correlation`: of its load with the others' latency in the same minute or
    the next, with the others' load held equal (partial, of ranks). `leads`: that is higher than that of latency with load a minute later.
    """

    tenant: str
    model: str
    measure: str
    others_p95_quiet_ms: float
    others_p95_loud_ms: float
    share_of_load: float
    minutes: int
    correlation: float
    leads: bool

    @property
    def ratio(self) -> float:
        return self.others_p95_loud_ms / self.others_p95_quiet_ms


@dataclass(frozen=True)
class Compared:
    """Minutes (epoch s), loud and quiet in pairs, and the loads of all minutes: own and others', tokens."""

    loud: tuple[int, ...]
    quiet: tuple[int, ...]
    own: dict[int, float]
    others: dict[int, float]

    @property
    def share(self) -> float:
        own = sum(self.own[at] for at in self.loud)
        return own / (own + sum(self.others[at] for at in self.loud))


def noisy_neighbours(start: datetime, end: datetime, scope: LiveScope) -> list[Neighbour]:
    """In `[start, end)`, of which the last LONGEST are looked at; the largest effect first. One measure for each customer and model.

    A scope's tenant is not heeded: a neighbour is a neighbour of others. Takes longer than a page may (sketches of all the others are
    merged), and changes slowly: keep what it gives for a minute or more. Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    subset = Subset(None, scope.model, scope.tier, scope.region, scope.cluster)
    bounds = moments.seconds(minute_of(max(start, end - LONGEST))), moments.seconds(minute_of(end))
    pairs = [(row[0], row[1]) for row in client.run(PairLoads(*bounds, CANDIDATES, subset), timeout_s=TIMEOUT_S).rows]
    if not pairs:
        return []
    names = tuple(sorted({model for model, _ in pairs})), tuple(sorted({tenant for _, tenant in pairs}))
    own: dict[Pair, dict[int, float]] = defaultdict(dict)
    totals: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for model, tenant, at_s, tokens in client.run(PairMinutes(*bounds, *names, subset), timeout_s=TIMEOUT_S).rows:
        own[model, tenant][at_s] = float(tokens)
        totals[model][at_s] += tokens
    compared = [(pair, compare(own[pair], totals[pair[0]])) for pair in pairs]
    found = [_neighbour(pair, each, subset) for pair, each in compared if each is not None]
    return sorted((each for each in found if each), key=lambda each: (-each.ratio, each.model, each.tenant))


def compare(own: dict[int, float], totals: dict[int, float]) -> Compared | None:
    """Pure. None if the load hardly swings, is too little, or loud minutes are only those in which the others are loud too."""
    loads = {at: own.get(at, 0.0) for at in totals}
    others = {at: total - loads[at] for at, total in totals.items()}
    if len(loads) < 2 * LEAST_MINUTES:
        return None
    middle = median(loads.values())
    high = sorted((at for at in loads if loads[at] > middle), key=lambda at: -loads[at])[
        : min(len(loads) // 3, MOST_MINUTES)
    ]
    low = sorted((at for at in loads if loads[at] <= middle), key=lambda at: loads[at])
    loud, quiet = _alike(high, low, others)
    if len(loud) < LEAST_MINUTES:
        return None
    found = Compared(tuple(loud), tuple(quiet), loads, others)
    swing = mean(loads[at] for at in loud) / max(mean(loads[at] for at in quiet), 1.0)
    return found if swing >= LEAST_SWING and found.share >= LEAST_SHARE else None


def _alike(loud: Sequence[int], quiet: Sequence[int], others: dict[int, float]) -> tuple[list[int], list[int]]:
    """Each loud minute with the quiet one in which the others' load is nearest, if it is near; each minute once."""
    left, pairs = set(quiet), []
    for at in loud:
        near = min(left, key=lambda each: (abs(others[each] - others[at]), each), default=None)
        if near is not None and abs(others[near] - others[at]) <= ALIKE * max(others[near], others[at], 1.0):
            left.discard(near)
            pairs.append((at, near))
    return [at for at, _ in pairs], [near for _, near in pairs]


def _neighbour(pair: Pair, compared: Compared, subset: Subset) -> Neighbour | None:
    """With the measure that its load moves most, if it moves one clearly."""
    model, tenant = pair
    query = OthersLatency(model, tenant, compared.loud, compared.quiet, subset)
    rows = client.run(query, timeout_s=TIMEOUT_S).rows
    found = [
        _effect(pair, compared, measure, [(row[0], row[1], row[3 + index]) for row in rows])
        for index, measure in enumerate(MEASURES)
    ]
    return max((each for each in found if each), key=lambda each: each.ratio, default=None)


def _effect(pair: Pair, compared: Compared, measure: str, rows: Sequence[tuple[int, int, float]]) -> Neighbour | None:
    """Pure. `rows`: whether loud, the minute or 0, the others' p95."""
    known = [(bool(loud), at, value) for loud, at, value in rows if not isnan(value)]
    whole = {loud: value for loud, at, value in known if not at}
    minutes = {at: value for _, at, value in known if at}
    if len(whole) < 2 or len(minutes) < LEAST_MINUTES or whole[True] < SLOWER * whole[False]:
        return None
    own, others = compared.own, compared.others
    at = sorted(minutes)
    latency = [minutes[each] for each in at]
    beside = [others[each] for each in at]
    with_it = partial(latency, [max(own[each], own.get(each - 60, 0.0)) for each in at], beside)
    after_it = partial(latency, [own.get(each + 60, 0.0) for each in at], beside)
    if with_it < LEAST_CORRELATION:
        return None
    model, tenant = pair
    return Neighbour(
        tenant,
        model,
        measure,
        whole[False],
        whole[True],
        compared.share,
        len(compared.loud),
        with_it,
        with_it >= after_it,
    )


def partial(one: Sequence[float], other: Sequence[float], beside: Sequence[float]) -> float:
    """The partial correlation of ranks of `one` with `other` where `beside` is held equal; 0 where nothing varies."""
    a, b, c = (_ranks(values) for values in (one, other, beside))
    ab, ac, bc = _correlation(a, b), _correlation(a, c), _correlation(b, c)
    room = (1 - ac * ac) * (1 - bc * bc)
    return (ab - ac * bc) / sqrt(room) if room > 1e-9 else 0.0


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    mean_one, mean_other = mean(one), mean(other)
    both = sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    spread = sqrt(sum((a - mean_one) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other))
    return both / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    """From 0 on; equals share their mean rank."""
    order: dict[float, list[int]] = defaultdict(list)
    for rank, value in enumerate(sorted(values)):
        order[value].append(rank)
    return [mean(order[value]) for value in values]
