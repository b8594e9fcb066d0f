"""Who reports now and who did before: engines and GPUs by their newest raw samples, and by the rows of minutes of the last two hours."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from metering import moments
from metering.causes.minutes import LOOKED_BACK
from metering.clickhouse import client
from metering.clickhouse.queries.causes import (
    TOKEN_COUNTERS,
    WORK_COUNTERS,
    EnginesBefore,
    EnginesHeard,
    GpusBefore,
    GpusHeard,
)
from metering.live import LiveScope
from metering.telemetry.spans import MINUTE

TIMEOUT_S = 5.0
HEARD = timedelta(minutes=4)  # one that reports once a minute is heard for as long
WORK_OVER = timedelta(seconds=65)  # of counters: with samples every ten seconds, the last minute
MILLISECOND = timedelta(milliseconds=1)
Key = tuple[str, str]
_readers = ThreadPoolExecutor(4, "causes")


@dataclass(frozen=True, slots=True)
class Place:
    model: str
    region: str
    cluster: str


@dataclass(frozen=True, slots=True)
class EngineHeard:
    """`counted`: how much the counters of tokens and work grew over the last `counted_s` seconds; None if they do not tell."""

    at: datetime
    up: bool
    answered: datetime | None
    place: Place
    gpus: tuple[str, ...]
    counted_s: float
    counted: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class EngineBefore:
    """`at` is when its last sample was, as nearly as rows of minutes tell; `answered` is the end of a minute."""

    at: datetime
    answered: datetime | None
    place: Place
    gpus: tuple[str, ...]
    every: timedelta


@dataclass(frozen=True, slots=True)
class GpuHeard:
    """`limit_w` is the limit of power now; `highest_w` the highest lately, had until `highest_until`."""

    at: datetime
    limit_w: float | None
    highest_w: float | None
    highest_until: datetime


@dataclass(frozen=True, slots=True)
class GpuBefore:
    """`highest_until`: the end of the last minute in which its limit of power was the highest."""

    region: str
    cluster: str
    at: datetime
    every: timedelta
    highest_w: float | None
    highest_until: datetime


@dataclass(frozen=True)
class Heard:
    now: datetime
    engines: dict[Key, EngineHeard]
    engines_before: dict[Key, EngineBefore]
    gpus: dict[Key, GpuHeard]
    gpus_before: dict[Key, GpuBefore]


def heard(now: datetime, scope: LiveScope) -> Heard:
    """Of a scope's model, region and cluster; GPUs have no model. Raises ClickHouseUnavailable or ClickHouseRefused."""
    until_ms = moments.milliseconds(now) + 1
    from_ms, since_ms = until_ms - HEARD // MILLISECOND, until_ms - WORK_OVER // MILLISECOND
    bounds = moments.seconds(now - LOOKED_BACK), moments.seconds(now)
    queries = (
        EnginesHeard(from_ms, since_ms, until_ms),
        EnginesBefore(*bounds),
        GpusHeard(from_ms, until_ms),
        GpusBefore(*bounds),
    )
    # ClickHouse plans one while it runs another.
    engines, before, gpus, gpus_before = _readers.map(_rows, queries)
    found = Heard(
        now,
        {(row[0], row[1]): _engine(row) for row in engines},
        {(row[0], row[1]): _engine_before(row) for row in before},
        {(row[0], row[1]): GpuHeard(_from_ms(row[2]), row[3], row[4], _from_ms(row[5])) for row in gpus},
        {(row[0], row[1]): _gpu_before(row) for row in gpus_before},
    )
    return narrowed(found, scope)


def _rows(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S).rows


def narrowed(found: Heard, scope: LiveScope) -> Heard:
    """Pure. A GPU is a model's that an engine of it runs on."""
    if not (scope.model or scope.region or scope.cluster):
        return found
    engines = {key: one for key, one in found.engines.items() if is_in(one.place, scope)}
    before = {key: one for key, one in found.engines_before.items() if is_in(one.place, scope)}
    used = {(node, gpu) for each in (engines, before) for (node, _), one in each.items() for gpu in one.gpus}

    def wanted(key: Key) -> bool:
        place = found.gpus_before.get(key)
        if scope.model:
            return key in used
        return place is not None and is_in(Place("", place.region, place.cluster), scope)

    return Heard(
        found.now,
        engines,
        before,
        {key: one for key, one in found.gpus.items() if wanted(key)},
        {key: one for key, one in found.gpus_before.items() if wanted(key)},
    )


def is_in(place: Place, scope: LiveScope) -> bool:
    asked = (scope.model, place.model), (scope.region, place.region), (scope.cluster, place.cluster)
    return all(wanted is None or wanted == there for wanted, there in asked)


def _engine(row: tuple[Any, ...]) -> EngineHeard:
    _, _, model, region, cluster, at, up, answered, gpus, seconds, first, last, _ = row
    counted = dict(zip((*TOKEN_COUNTERS, *WORK_COUNTERS), map(_grown, first, last), strict=True))
    since = _from_ms(answered) if answered else None
    return EngineHeard(_from_ms(at), bool(up), since, Place(model, region, cluster), tuple(gpus), seconds, counted)


def _grown(first: float | None, last: float | None) -> float | None:
    """None where it is not known, or the counter began anew."""
    return last - first if first is not None and last is not None and last >= first else None


def _engine_before(row: tuple[Any, ...]) -> EngineBefore:
    _, _, model, region, cluster, gpus, at, last, answered, samples, _ = row
    since = _from_s(answered) + MINUTE if answered else None
    every = MINUTE / max(samples, 1)
    return EngineBefore(_from_s(at) + every * last, since, Place(model, region, cluster), tuple(gpus), every)


def _gpu_before(row: tuple[Any, ...]) -> GpuBefore:
    _, _, region, cluster, at, last, samples, highest, until = row
    every = MINUTE / max(samples, 1)
    return GpuBefore(region, cluster, _from_s(at) + every * last, every, highest, _from_s(until) + MINUTE)


def _from_s(value: int) -> datetime:
    return moments.from_microseconds(value * 1_000_000)


def _from_ms(value: int) -> datetime:
    return moments.from_microseconds(value * 1000)
