"""Measures of engines and GPUs, from the minutes that are worked up; and of those that have gone."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from metering.alerts.readings.asked import ALL, MINUTE, Asked, Found, NotRead, Points, Read, Values, whole_minute
from metering.telemetry.fleet import fleet_engines, fleet_gpus, fleet_gpus_gone
from metering.telemetry.fleet_history import (
    EnginePoint,
    FleetRange,
    GpuPoint,
    SaturationPoint,
    engine_series,
    gpu_series,
    saturation_series,
)
from metering.telemetry.processing import STEPS
from metering.telemetry.progress import closed_until
from metering.telemetry.reconciliation.report import leakage_report
from metering.telemetry.settled import energy_settled

BEHIND = timedelta(minutes=10)
KNOWN_FOR = timedelta(hours=24)
ROLLUPS = STEPS[0].name


def worked_up(now: datetime) -> datetime:
    """The end of the newest minute that is worked up. Raises NotRead if that is long ago: then nobody can say how the fleet is."""
    end = closed_until(ROLLUPS)
    if end is None:
        return whole_minute(now)
    if end < now - BEHIND:
        raise NotRead(f"telemetry is worked up only until {end:%H:%M} UTC")
    return min(end, whole_minute(now))


def settled_hour(now: datetime) -> datetime:
    """The end of the newest hour of energy and leakage that is settled; the epoch if none is."""
    end = energy_settled().hour
    return datetime.fromtimestamp(0, UTC) if end is None else min(end, whole_minute(now).replace(minute=0))


def of_saturation(value: Callable[[SaturationPoint], float | None]) -> Read:
    return lambda asked: _fleet(saturation_series, asked, value)


def of_engines(value: Callable[[EnginePoint], float | None]) -> Read:
    return lambda asked: _fleet(engine_series, asked, value)


def of_gpus(value: Callable[[GpuPoint], float | None]) -> Read:
    return lambda asked: _fleet(gpu_series, asked, value)


def bound_by(constraint: str) -> Read:
    """Share of GPU time that this constraint bound."""

    def value(point: SaturationPoint) -> float:
        return next((each.share for each in point.bound if each.constraint == constraint), 0.0)

    return of_saturation(value)


def per_minute(name: str, series: Callable[..., Read]) -> Read:
    """A counter of points, for each minute."""

    def read(asked: Asked) -> Found:
        minutes = asked.step / MINUTE

        def value(point: Any) -> float | None:
            counted = getattr(point, name)
            return None if counted is None else counted / minutes

        return series(value)(asked)

    return read


def power_share(point: GpuPoint) -> float | None:
    return point.power_w / point.power_limit_w if point.power_w is not None and point.power_limit_w else None


def cap_share(asked: Asked) -> Found:
    """Of the cap that the settings name for a cluster; clusters without one are not there."""
    caps = settings.CAPACITY_POWER_KW
    only = dict(asked.only)
    wanted = [name for name in caps if only.get("cluster", name) == name]
    if not wanted:
        return {}
    narrowed = FleetRange(asked.start, asked.end, asked.step, ("cluster",), {**only, "cluster": wanted})
    found: Found = {}
    for point in gpu_series(narrowed) if asked.end > asked.start else ():
        cluster = point.group["cluster"]
        share = None if point.power_w is None else point.power_w / (caps[cluster] * 1000)
        found.setdefault(cluster, []).append((point.start, share))
    return found if asked.group else _highest(found)


def _highest(found: Found) -> Found:
    """Of all groups together: the highest of each step."""
    steps: dict[datetime, float | None] = {}
    for points in found.values():
        for at, value in points:
            held = steps.get(at)
            steps[at] = value if held is None else max(held, value if value is not None else held)
    return {ALL: sorted(steps.items())} if steps else {}


def _fleet(series: Callable[[FleetRange], Sequence[Any]], asked: Asked, value: Callable[[Any], float | None]) -> Found:
    # Engines of different nodes may share a name: each is told by both.
    groups = {"": (), "engine": ("node", "engine")}.get(asked.group, (asked.group,))
    found: dict[str, Points] = {}
    end = whole_minute(asked.end)
    if end <= asked.start:
        return found
    for point in series(FleetRange(asked.start, end, asked.step, groups, dict(asked.only))):
        found.setdefault("/".join(point.group[name] for name in groups), []).append((point.start, value(point)))
    return found


def gpus_gone(now: datetime, asked: Asked) -> Values:
    """GPUs that were there within a day and have sent nothing for a quarter of an hour."""
    here = [one for one in fleet_gpus(now) if _within(one, asked.only)]
    present = {(one.node, one.gpu) for one in here}
    gone = [one for one in fleet_gpus_gone(now) if (one.node, one.gpu) not in present and _within(one, asked.only)]
    return _counted(gone, here, asked.group)


def engines_down(now: datetime, asked: Asked) -> Values:
    """Engines that were there within a day and do not answer."""
    named = ("node", "engine", "region", "cluster", "model")
    start = whole_minute(now - KNOWN_FOR)
    known = engine_series(FleetRange(start, whole_minute(now), KNOWN_FOR, named, dict(asked.only)))
    up = {(one.node, one.engine) for one in fleet_engines(now) if one.up}
    groups = {(point.group["node"], point.group["engine"]): point.group for point in known}
    down = [group for key, group in groups.items() if key not in up]
    return _counted(down, groups.values(), asked.group)


def _within(one: Any, only: Mapping[str, str]) -> bool:
    return all(getattr(one, name) == value for name, value in only.items())


def _counted(of: Iterable[Any], among: Iterable[Any], group: str) -> Values:
    """How many by group; 0 for one that has none of them."""
    if not group:
        return {ALL: float(len(list(of)))}
    name = _named(group)
    counts = Counter(name(one) for one in of)
    return {key: float(counts[key]) for key in {*(name(one) for one in among), *counts}}


def _named(group: str) -> Callable[[Any], str]:
    return lambda one: str(one[group] if isinstance(one, Mapping) else getattr(one, group))


def leakage_share(asked: Asked) -> Found:
    """Of the tokens that engines counted, those that no event accounts for, hour by hour."""
    start, end = (
        moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for moment in (asked.start, asked.end)
    )
    if end <= start:
        return {}
    groups = {"": (), "engine": ("node", "engine")}.get(asked.group, (asked.group,))
    found: Found = {}
    for row in leakage_report(start, end, window="hour", group_by=groups, only=dict(asked.only)).rows:
        name = "/".join(str(getattr(row, group)) for group in groups)
        judged = row.found.engine_side.tokens >= settings.LEAKAGE_MIN_TOKENS
        found.setdefault(name, []).append((row.window_start, row.found.unbilled_share if judged else None))
    return found
