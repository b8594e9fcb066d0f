"""Models that have become slower than their load explains: by what their engines count, and by requests where no engine reports.

Both measures leave the queue out: that one grows when a limit binds, which saturation tells.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isnan

from metering.causes.change import Step, last_step
from metering.causes.heard import Heard, Place, is_in
from metering.causes.minutes import Minutes
from metering.causes.traffic import TIMEOUT_S, Traffic, subset_of
from metering.clickhouse import client
from metering.clickhouse.queries.causes import TOKEN_COUNTERS, WORK, WORK_COUNTERS, RequestLatencies, WorkMinutes
from metering.live import LiveScope

SLOWER = {"itl": 1.25, "prefill": 1.6, "tpot": 1.3, "ttft": 2.0}  # how many times what it was
EXPLAINED = 0.5  # load that has grown by this part of what latency has, explains it
LEAST_COUNT = 20  # measurements in a point; of fewer there is no point
LEAST_POINTS = 10
LEAST_MODELS_REQUESTS = 600  # in two hours, of a model that no engine reports
Series = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class LatencyShift:
    """`measure`: itl (time per output token) or prefill, as engines count it, both in ms a token or request; tpot or ttft, the medians of
    requests. `load_ratio`: tokens a second for each engine, now over before. `regions`: where; all of the model's if `everywhere`."""

    model: str
    measure: str
    before_ms: float
    now_ms: float
    load_ratio: float
    since: datetime
    regions: tuple[str, ...]
    everywhere: bool

    @property
    def ratio(self) -> float:
        return self.now_ms / self.before_ms


@dataclass
class _Work:
    """Of one place: sums by minute (epoch s), and of the last minute."""

    by_minute: dict[int, tuple[float, ...]] = field(default_factory=dict)
    now: list[float] = field(default_factory=lambda: [0.0] * (1 + len(TOKEN_COUNTERS) + len(WORK_COUNTERS)))


@dataclass(frozen=True)
class _Found:
    place: Place
    step: Step
    load: float
    since: datetime


def latency_shifts(scope: LiveScope, found: Heard, known: Traffic) -> list[LatencyShift]:
    """The slowest against before first. Raises ClickHouseUnavailable or ClickHouseRefused."""
    minutes = known.minutes
    work = {place: each for place, each in _work(minutes, found).items() if is_in(place, scope)}
    shifts = [shift for measure in WORK for shift in _of_engines(measure, minutes, work)]
    told = {place.model for place in work}
    untold = [
        model for model, counts in known.requests.items() if model not in told and sum(counts) >= LEAST_MODELS_REQUESTS
    ]
    shifts += _of_requests(scope, minutes, tuple(sorted(untold)))
    return sorted(shifts, key=lambda each: (-each.ratio / SLOWER[each.measure], each.model, each.measure))


def _work(minutes: Minutes, found: Heard) -> dict[Place, _Work]:
    work: dict[Place, _Work] = defaultdict(_Work)
    query = WorkMinutes(minutes.from_s, minutes.recent_s)
    for at_s, model, region, cluster, *sums in client.run(query, timeout_s=TIMEOUT_S).rows:
        work[Place(model, region, cluster)].by_minute[at_s] = tuple(float(value or 0) for value in sums)
    for engine in found.engines.values():
        counts = [engine.counted[name] for name in (*TOKEN_COUNTERS, *WORK_COUNTERS)]
        if engine.up and engine.counted_s > 0 and None not in counts:
            now = work[engine.place].now
            now[0] += 1
            for index, value in enumerate(counts, start=1):
                # A minute's worth, so that it compares with the minutes before.
                now[index] += (value or 0.0) * 60 / engine.counted_s
    return work


def _of_engines(measure: str, minutes: Minutes, work: Mapping[Place, _Work]) -> Iterable[LatencyShift]:
    by_model: dict[str, list[_Found]] = defaultdict(list)
    for place, each in work.items():
        if (slower := _slower(measure, minutes, place, each)) is not None:
            by_model[place.model].append(slower)
    for model, slower_places in by_model.items():
        places = [place for place in work if place.model == model]
        worst = max(slower_places, key=lambda each: each.step.ratio)
        regions = tuple(sorted({each.place.region for each in slower_places}))
        yield LatencyShift(
            model,
            measure,
            worst.step.before * 1000,
            worst.step.after * 1000,
            worst.load,
            min(each.since for each in slower_places),
            regions,
            everywhere=len(slower_places) == len(places),
        )


def _slower(measure: str, minutes: Minutes, place: Place, work: _Work) -> _Found | None:
    """Means over all tokens (or requests) of each minute, with what each engine had to do beside them."""
    total, count = (1 + len(TOKEN_COUNTERS) + WORK_COUNTERS.index(f"{measure}_{part}") for part in ("sum_s", "count"))
    points = [(at_s, sums) for at_s, sums in sorted(work.by_minute.items()) if sums[count] >= LEAST_COUNT]
    if work.now[count] < LEAST_COUNT or len(points) <= LEAST_POINTS:
        return None
    rows = [*(sums for _, sums in points), work.now]
    step = last_step([sums[total] / sums[count] for sums in rows], least_before=LEAST_POINTS)
    if step is None or step.ratio < SLOWER[measure]:
        return None
    load = max(_grown(rows, step.at, lambda sums, index=index: sums[index] / sums[0]) for index in (1, 2))  # type: ignore[misc]
    if load - 1 >= EXPLAINED * (step.ratio - 1):
        return None
    at_s = points[step.at][0] if step.at < len(points) else minutes.recent_s
    return _Found(place, step, load, datetime.fromtimestamp(at_s, minutes.now.tzinfo))


def _of_requests(scope: LiveScope, minutes: Minutes, models: tuple[str, ...]) -> Iterable[LatencyShift]:
    if not models:
        return
    query = RequestLatencies(minutes.from_s, minutes.until_s, models, subset_of(scope))
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for at_s, model, *values in client.run(query, timeout_s=TIMEOUT_S).rows:
        rows[model].append((at_s, *values))
    regions = (scope.region,) if scope.region else ()
    for model, found in rows.items():
        for measure, column in (("tpot", 4), ("ttft", 3)):
            points = [
                (row[0], row[2], row[column]) for row in found if row[1] >= LEAST_COUNT and not isnan(row[column])
            ]
            if (slower := _slower_requests(minutes, measure, points)) is not None:
                step, load, since = slower
                yield LatencyShift(model, measure, step.before, step.after, load, since, regions, everywhere=True)


def _slower_requests(
    minutes: Minutes, measure: str, points: Sequence[tuple[float, float, float]]
) -> tuple[Step, float, datetime] | None:
    """`points`: epoch s, output tokens, median. One of a minute that is not over counts if it has enough requests."""
    if len(points) <= LEAST_POINTS or points[-1][0] < minutes.recent_s - 60:
        return None
    step = last_step([value for _, _, value in points], least_before=LEAST_POINTS)
    if step is None or step.ratio < SLOWER[measure]:
        return None
    load = _grown(points, step.at, lambda row: row[1] / min(60.0, minutes.now_s - row[0]))
    if load - 1 >= EXPLAINED * (step.ratio - 1):
        return None
    return step, load, datetime.fromtimestamp(points[step.at][0], minutes.now.tzinfo)


def _grown(rows: Sequence[Sequence[float]], at: int, value: Callable[[Sequence[float]], float]) -> float:
    """The mean from point `at` on over the mean before; 1 without any before."""
    before, after = [value(row) for row in rows[:at]], [value(row) for row in rows[at:]]
    usual = sum(before) / len(before)
    return sum(after) / len(after) / usual if usual else 1.0
