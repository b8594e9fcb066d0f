"""Requests as tenants send them: gamma-distributed gaps, a daily and weekly rhythm, log-normal lengths, changes of the script.

Gaps are drawn in a time in which the rate is one, and the rate bends that time: so a burst stays a burst at every hour, and the mean is the
rate's integral. Each tenant and stretch of ten minutes has its generator, seeded by the plan's seed: adding a tenant, or asking in other
steps, changes nothing for the others.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from metering.simulator.plan import TIERS, Plan, Tenant, Workload
from metering.simulator.pool import (
    ARRIVAL_ROWS,
    ARRIVED,
    CACHED,
    CANCELLED,
    CUT,
    FAILED,
    INPUT,
    MODEL,
    NUMBER,
    OUTCOME,
    OUTPUT,
    PROJECT,
    REASONING,
    SERVED,
    STREAM,
    TENANT,
    TIER,
    Floats,
    Ints,
)
from metering.simulator.script import Change

STRETCH_S = 600.0
CELL_S = 10.0  # the rate is constant for so long
LONGEST_OUTPUT = 8_192
KV_BLOCK = 16  # vLLM caches prefixes by blocks of so many tokens


class Traffic(Protocol):
    def until(self, time_s: float) -> Floats:
        """(ARRIVAL_ROWS, n): what arrives before `time_s` and has not been given yet, in order of arrival."""


class DrawnTraffic:
    def __init__(self, plan: Plan) -> None:
        self._sources = [_Source(plan, index) for index in range(len(plan.tenants))]
        self._ahead = np.zeros((ARRIVAL_ROWS, 0))
        self._drawn_until_s = 0.0
        self._given = 0

    def until(self, time_s: float) -> Floats:
        while self._drawn_until_s < time_s:
            self._draw_a_stretch()
        upto = int(np.searchsorted(self._ahead[ARRIVED], time_s, side="left"))
        found = self._ahead[:, self._given : upto]
        self._given = upto
        return found

    def _draw_a_stretch(self) -> None:
        drawn = np.concatenate([source.stretch(self._drawn_until_s) for source in self._sources], axis=1)
        drawn = drawn[:, np.argsort(drawn[ARRIVED], kind="stable")]
        self._ahead = np.concatenate([self._ahead[:, self._given :], drawn], axis=1)
        self._given = 0
        self._drawn_until_s += STRETCH_S


class _Source:
    """One tenant."""

    def __init__(self, plan: Plan, index: int) -> None:
        self._plan, self._index = plan, index
        self._tenant = plan.tenants[index]
        if self._tenant.workload is None:
            raise ValueError(f"tenant {self._tenant.key}: its requests come from a trace, there is nothing to draw")
        self._workload = self._tenant.workload
        # How far the next gap already reaches into the stretch, in the time in which the rate is one; None before the first.
        self._shift: float | None = None
        self._number = 0

    def stretch(self, start_s: float) -> Floats:
        rng = np.random.Generator(np.random.PCG64([self._plan.seed, self._index, int(start_s)]))
        times = self._times(start_s, rng)
        rows = np.zeros((ARRIVAL_ROWS, len(times)))
        rows[ARRIVED], rows[TENANT] = times, self._index
        rows[NUMBER] = self._number + np.arange(len(times))
        self._number += len(times)
        self._fill(rows, rng)
        return rows

    def _times(self, start_s: float, rng: np.random.Generator) -> Floats:
        edges = start_s + np.arange(0, STRETCH_S + CELL_S / 2, CELL_S)
        rates = [rate_rps(self._tenant, self._plan.changes, self._plan.start_ms, edge) for edge in edges[:-1]]
        expected = np.concatenate([[0.0], np.cumsum(rates) * CELL_S])
        arrivals = self._renewals(float(expected[-1]), rng)
        # Where the rate is zero the expectation stands still; nothing is drawn there but a tie, which a sliver breaks.
        return np.interp(arrivals, expected + np.arange(len(expected)) * 1e-12, edges)

    def _renewals(self, length: float, rng: np.random.Generator) -> Floats:
        """Points in [0, length), gamma gaps of mean 1, going on from the stretch before."""
        shape = self._tenant.cv**-2
        points = np.array([rng.gamma(shape, 1 / shape) if self._shift is None else self._shift])
        while points[-1] < length:
            more = rng.gamma(shape, 1 / shape, size=int((length - points[-1]) * 1.1) + 16)
            points = np.concatenate([points, points[-1] + np.cumsum(more)])
        first_beyond = int(np.searchsorted(points, length, side="left"))
        self._shift = float(points[first_beyond]) - length
        return points[:first_beyond]

    def _fill(self, rows: Floats, rng: np.random.Generator) -> None:
        count, tenant, workload = rows.shape[1], self._tenant, self._workload
        models = self._plan.models
        rows[MODEL] = _drawn([tenant.models.get(model.name, 0.0) for model in models], count, rng)
        rows[TIER] = _drawn([tenant.tiers.get(tier, 0.0) for tier in TIERS], count, rng)
        rows[PROJECT] = rng.integers(max(len(tenant.projects), 1), size=count)
        model = rows[MODEL].astype(np.int64)
        generates = np.array([one.generates for one in models])[model]
        limit = np.array([one.context for one in models], dtype=np.float64)[model]
        inputs = _lengths(workload.input_median, workload.input_sigma, count, rng).clip(1, np.floor(limit * 0.75))
        wished = _lengths(workload.output_median, workload.output_sigma, count, rng).clip(1, None)
        longest = np.minimum(LONGEST_OUTPUT, np.floor(limit * 0.2))
        rows[INPUT], rows[CUT] = inputs, (wished > longest) & generates
        rows[OUTPUT] = np.where(generates, np.minimum(wished, longest), 0)
        rows[CACHED] = np.where(generates, _cached(workload, inputs, rng), 0)
        rows[STREAM] = (rng.random(count) < workload.streams) & generates
        self._outcomes(rows, rng)

    def _outcomes(self, rows: Floats, rng: np.random.Generator) -> None:
        drawn, plan = rng.random(rows.shape[1]), self._plan
        rows[OUTCOME] = np.select(
            [drawn < plan.failed, drawn < plan.failed + plan.cancelled], [FAILED, CANCELLED], SERVED
        )
        # Given up somewhere on the way; a reader of one token has it all.
        stopped = np.ceil(rows[OUTPUT] * rng.random(rows.shape[1])).clip(1, None)
        cancelled = (rows[OUTCOME] == CANCELLED) & (rows[OUTPUT] > 0)
        rows[OUTPUT] = np.where(cancelled, stopped, rows[OUTPUT])
        rows[CUT] = np.where(cancelled, 0, rows[CUT])
        thought = np.minimum(self._workload.reasoning * rng.uniform(0.5, 1.5, rows.shape[1]), 1)
        rows[REASONING] = np.floor(rows[OUTPUT] * thought)


def rate_rps(tenant: Tenant, changes: Sequence[Change], start_ms: int, time_s: float) -> float:
    """Requests per second that the tenant sends on average at `time_s` of the run."""
    moment = datetime.fromtimestamp(start_ms / 1000 + time_s, UTC)
    hour = moment.hour + moment.minute / 60 + moment.second / 3600
    rhythm = 1 + tenant.daily_swing * np.cos((hour - tenant.peak_hour) / 24 * 2 * np.pi)
    factor = tenant.weekend if moment.weekday() >= 5 else 1.0
    for change in changes:
        if change.kind == "tenant_rate" and change.is_about(tenant.key) and change.holds(time_s):
            factor *= change.value
    return float(tenant.rate_rps * rhythm * factor)


def _lengths(median: float, sigma: float, count: int, rng: np.random.Generator) -> Floats:
    lengths: Floats = np.floor(np.exp(np.log(median) + sigma * rng.standard_normal(count)))
    return lengths


def _cached(workload: Workload, inputs: Floats, rng: np.random.Generator) -> Floats:
    """Tokens of the prompt that are in the cache: whole blocks, and never all of it, for the last token has to be computed."""
    found = inputs * workload.cached_share * rng.random(len(inputs))
    found = np.floor(np.minimum(found, inputs - 1) / KV_BLOCK) * KV_BLOCK
    return np.where(rng.random(len(inputs)) < workload.cache_hits, found, 0)


def _drawn(shares: Sequence[float], count: int, rng: np.random.Generator) -> Ints:
    cumulated = np.cumsum(shares)
    return np.searchsorted(cumulated / cumulated[-1], rng.random(count), side="right").clip(0, len(shares) - 1)
