"""The fleet on the overview: GPUs and their power now, and over the range what bound and how much power was drawn."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from dashboard.operator.filters import Filters
from dashboard.operator.fleet_reading import engines_now, gpus_in, gpus_now, together
from dashboard.operator.shelf import SHELF
from metering.public import (
    FleetRange,
    GpuPoint,
    GpuState,
    SaturationPoint,
    fleet_gpu_series,
    saturation_series,
)

HISTORY_FRESH_S = 9.0  # of rows of minutes, which come a minute after their end
SEEN = timedelta(minutes=1)
BUSY_FROM = 0.05  # of the time: below it a GPU waits
MINUTE, THEN = timedelta(minutes=1), timedelta(minutes=5)


@dataclass(frozen=True)
class FleetNow:
    """GPUs that have reported within a minute. What none of them tells is None."""

    gpus: int
    busy: int | None
    active: float | None  # mean, 0 to 1
    power_w: float | None
    limit_w: float | None
    simulated: bool


@dataclass(frozen=True)
class FleetHistory:
    """`before`: power over the range before, moved to lie over this one."""

    saturation: list[SaturationPoint]
    gpus: list[GpuPoint]
    step: timedelta
    before: list[tuple[datetime, GpuPoint]] | None = None


def fleet_now(filters: Filters, *, glance: bool = False) -> FleetNow:
    """Of the region, cluster and model that are chosen. Raises ClickHouseUnavailable or ClickHouseRefused, as all here."""
    # Only of a model it takes engines to say which GPUs are its.
    read = partial(gpus_now, glance=glance), partial(engines_now, glance=glance)
    gpus, engines = together(*read) if filters.model else (gpus_now(glance=glance), None)
    found = gpus_in(gpus, engines.found if engines else (), filters)
    return summed([one for one in found.found if gpus.at - one.at < SEEN])


def summed(gpus: list[GpuState]) -> FleetNow:
    """MIG instances are left out: they have no power, and their GPU is there. Pure."""
    whole = [one for one in gpus if not one.mig]
    active = [
        value for one in whole if (value := one.gpu_utilization if one.sm_active is None else one.sm_active) is not None
    ]
    drawn = [one for one in whole if one.power_w is not None]
    limits = [one.power_limit_w for one in drawn]
    return FleetNow(
        gpus=len(whole),
        busy=sum(value >= BUSY_FROM for value in active) if active else None,
        active=sum(active) / len(active) if active else None,
        power_w=sum(one.power_w or 0.0 for one in drawn) if drawn else None,
        # Of some limits the sum would be no limit of all.
        limit_w=sum(limit or 0.0 for limit in limits) if drawn and None not in limits else None,
        simulated=any(one.simulated for one in whole),
    )


def at_hand(filters: Filters) -> bool:
    return SHELF.at_hand(("overview-fleet", filters), _fresh_s(filters))


def fleet_history(filters: Filters) -> FleetHistory:
    return SHELF.kept(("overview-fleet", filters), _fresh_s(filters), lambda: _history(filters))


def fleet_then(filters: Filters, then: datetime) -> GpuPoint | None:
    """GPUs over the five minutes before a moment; None if there were none."""
    found = fleet_gpu_series(FleetRange(then - THEN, then, THEN, (), _place(filters)))
    return found[-1] if found else None


def _history(filters: Filters) -> FleetHistory:
    window = filters.window(datetime.now(UTC))
    place, model = _place(filters), {"model": filters.model} if filters.model else {}
    saturation = saturation_series(FleetRange(window.start, window.end, window.step, (), place | model))
    gpus = fleet_gpu_series(FleetRange(window.start, window.end, window.step, (), place))
    if not filters.compare:
        return FleetHistory(saturation, gpus, window.step)
    back = window.previous
    moved = window.start - back.start
    before = fleet_gpu_series(FleetRange(back.start, back.end, back.step, (), place))
    return FleetHistory(saturation, gpus, window.step, [(point.start + moved, point) for point in before])


def _fresh_s(filters: Filters) -> float:
    return max(filters.refresh_s, HISTORY_FRESH_S)


def _place(filters: Filters) -> dict[str, str]:
    return {name: value for name in ("region", "cluster") if (value := getattr(filters, name))}
