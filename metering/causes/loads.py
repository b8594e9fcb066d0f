"""Whose load on a model took a step, when, and how much of the model's load that is."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import mean

from metering import moments
from metering.causes.change import last_step
from metering.causes.minutes import Minutes
from metering.causes.traffic import TIMEOUT_S, Traffic, subset_of, traffic
from metering.clickhouse import client
from metering.clickhouse.queries.causes import Durations, LoadMinutes, LoadsGrown
from metering.live import LiveScope

CANDIDATES = 12
LEAST_GROWTH = 0.5  # of a customer's own load
LEAST_OF_MODEL = 0.1  # what it adds, of the model's load before
ALONE = 1.3  # how many times as much as the others it has to have grown
LEAST_REQUESTS = 10  # in the last point: of fewer, one long prompt is a step
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LoadShift:
    """A customer's load on one model, in tokens (input and output) a second, before and from `since` on.

    `share`: of the model's tokens now. `held_before`, `held_now`: about how many tokens its requests hold in KV caches at any moment
    (tokens a second times the median time in an engine); None if no latency was measured.
    """

    model: str
    tenant: str
    since: datetime
    before_s: float
    now_s: float
    share_before: float
    share: float
    model_before_s: float
    model_now_s: float
    held_before: float | None = None
    held_now: float | None = None

    @property
    def growth(self) -> float:
        """1.8 is + 180 %; infinite for one that sent nothing."""
        return self.now_s / self.before_s - 1 if self.before_s else float("inf")

    @property
    def part(self) -> float:
        """Of what the model's load grew by, what this customer adds; more than 1 if others send less."""
        grown = self.model_now_s - self.model_before_s
        return (self.now_s - self.before_s) / grown if grown > 0 else float("inf")


def load_shifts(scope: LiveScope, now: datetime, known: Traffic | None = None) -> list[LoadShift]:
    """Customers whose load on a model has grown clearly and is still up, what they add first. `known`: of the same scope and moment.

    Looks back two hours: what has lasted for longer is usual by then. Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    found = known or traffic(now, scope)
    minutes, subset = found.minutes, subset_of(scope)
    grown = LoadsGrown(minutes.from_s, minutes.recent_s, minutes.until_s, minutes.now_s, CANDIDATES, subset)
    pairs = {(model, tenant) for model, tenant, _ in client.run(grown, timeout_s=TIMEOUT_S).rows}
    if not pairs:
        return []
    names = tuple(sorted({model for model, _ in pairs})), tuple(sorted({tenant for _, tenant in pairs}))
    rows: dict[Pair, list[tuple[int, int, int]]] = defaultdict(list)
    for model, tenant, *row in client.run(
        LoadMinutes(minutes.from_s, minutes.until_s, *names, subset), timeout_s=TIMEOUT_S
    ).rows:
        if (model, tenant) in pairs:
            rows[model, tenant].append((row[0], row[1], row[2]))
    shifts = [shift for pair in rows if (shift := _shift(found, pair, rows[pair]))]
    shifts.sort(key=lambda each: (each.before_s - each.now_s, each.model, each.tenant))
    return _with_held(shifts, minutes, scope)


def _shift(found: Traffic, pair: Pair, rows: list[tuple[int, int, int]]) -> LoadShift | None:
    minutes, (model, tenant) = found.minutes, pair
    tokens_s = minutes.rates((at_s, tokens) for at_s, _, tokens in rows)
    requests = minutes.sums((at_s, count) for at_s, count, _ in rows)
    model_s = found.tokens_s(model)
    begin = next(point for point, value in enumerate(model_s) if value)  # before, there was no such model
    step = last_step(tokens_s[begin:])
    if step is None or step.after < step.before * (1 + LEAST_GROWTH) or requests[-1] < LEAST_REQUESTS:
        return None
    at = begin + step.at
    before, after = mean(model_s[begin:at]), mean(model_s[at:])
    own_before, own = mean(tokens_s[begin:at]), min(step.after, after)
    others = (after - own) / (before - own_before) if before > own_before else 1.0
    if own - own_before < LEAST_OF_MODEL * before or own < own_before * others * ALONE:
        return None  # too little to matter, or all send more: it is no customer's doing
    share_before = own_before / before if before else 0.0
    return LoadShift(model, tenant, minutes.at(at), own_before, own, share_before, own / after, before, after)


def _with_held(shifts: list[LoadShift], minutes: Minutes, scope: LiveScope) -> list[LoadShift]:
    if not shifts:
        return shifts
    since_s = max(moments.seconds(each.since) for each in shifts)
    names = tuple(sorted({each.model for each in shifts})), tuple(sorted({each.tenant for each in shifts}))
    query = Durations(minutes.from_s, since_s, minutes.until_s, *names, subset_of(scope))
    took = {
        (model, tenant): (before, after) for model, tenant, before, after in client.run(query, timeout_s=TIMEOUT_S).rows
    }

    def held(each: LoadShift) -> LoadShift:
        before, after = took.get((each.model, each.tenant), (float("nan"),) * 2)
        return replace(each, held_before=_held(each.before_s, before), held_now=_held(each.now_s, after))

    return [held(each) for each in shifts]


def _held(tokens_s: float, took_ms: float) -> float | None:
    return tokens_s * took_ms / 1000 if took_ms == took_ms else None  # noqa: PLR0124 - false for NaN alone
