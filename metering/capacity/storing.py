"""Forecasts and capacity in PostgreSQL: what a page reads in milliseconds, and what a worker is asked to work out."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db.models import F, Q

from metering.capacity import wire
from metering.capacity.backtest import Score
from metering.capacity.demands import HOUR_S, Asked
from metering.capacity.fleet import Fleet
from metering.capacity.forecast import Forecast
from metering.live import LiveScope
from metering.models import DemandForecast, FleetCapacity

logger = logging.getLogger(__name__)

INPUT, OUTPUT, REQUESTS = MEASURES = ("input", "output", "requests")
STALE = timedelta(hours=26)
# While there is nothing to go by, and while each hour adds much to it; the hours of history from which on neither is so.
EMPTY_STALE, YOUNG_STALE = timedelta(minutes=3), timedelta(hours=1)
EMPTY_H, YOUNG_H = 72, 22 * 24
ASKED_AGAIN = timedelta(minutes=3)  # a question that has not been answered for so long was lost
FORGOTTEN = timedelta(days=14)
POOLS = "pools"
TASK = "metering.capacity"
GIVEN_UP = timedelta(days=1)
SCOPE = ("region", "cluster", "model", "tenant", "tier")


@dataclass(frozen=True)
class Measured:
    """One measure of a scope. `forecast` and `score` are None with too little history. `peaks`: the highest hour of each day of history,
    the newest last, a value an hour; `recent`: the last two weeks by the hour."""

    forecast: Forecast | None
    score: Score | None
    peaks: tuple[float, ...]
    recent: tuple[float, ...]


@dataclass(frozen=True)
class DemandOutlook:
    """What is known of a scope's demand. `made_at` None: not worked out yet. `history_h`: hours since the first demand, up to `until`;
    `outage_h` of them were taken for an outage, and for as busy as those around it."""

    scope: LiveScope
    made_at: datetime | None = None
    until: datetime | None = None
    history_h: int = 0
    outage_h: int = 0
    first: datetime | None = None
    measures: Mapping[str, Measured] = field(default_factory=dict)

    def stale(self, now: datetime) -> bool:
        return self.made_at is None or now - self.made_at > STALE


@dataclass(frozen=True)
class FleetOutlook:
    """`demands`: of every pool that has one, by model and region."""

    made_at: datetime | None
    fleet: Fleet
    demands: Mapping[tuple[str, str], Asked]


def demand_outlook(scope: LiveScope, now: datetime) -> DemandOutlook:
    """As last worked out. If that was never or long ago, a worker is asked for it."""
    named = names(scope)
    row = DemandForecast.objects.filter(**named).first()
    if row is None or row.made_at is None or now - row.made_at > _holds(row.found.get("history_h", 0)):
        _ask_demand(row, named, now)
    elif now - row.seen_at > timedelta(days=1):
        DemandForecast.objects.filter(pk=row.pk).update(seen_at=now)
    return _outlook(scope, row) if row is not None and row.made_at else DemandOutlook(scope)


def fleet_outlook(now: datetime) -> FleetOutlook:
    """As last worked out, with the caps that are set now. If that was never or long ago, a worker is asked for it."""
    row = FleetCapacity.objects.filter(name=POOLS).first()
    if row is None or row.made_at is None or now - row.made_at > _holds(_telemetry_h(row)):
        _ask_fleet(row, now)
    if row is None or row.made_at is None:
        return FleetOutlook(None, Fleet(), {})
    fleet = with_caps(wire.read_fleet(row.found))
    return FleetOutlook(row.made_at, fleet, _demands({pool.demand for pool in fleet.pools}))


def _holds(history_h: float) -> timedelta:
    """For how long something worked out from so much is shown without asking for it anew."""
    return STALE if history_h >= YOUNG_H else YOUNG_STALE if history_h >= EMPTY_H else EMPTY_STALE


def _telemetry_h(row: FleetCapacity) -> float:
    """As hours of history: blocks of less than an hour stand for little of it."""
    if row.found.get("block_s", 0) >= HOUR_S:
        return YOUNG_H
    return EMPTY_H if row.found.get("pools") else 0


def with_caps(fleet: Fleet) -> Fleet:
    caps = settings.CAPACITY_POWER_KW
    sites = (replace(site, cap_w=caps[site.cluster] * 1000 if site.cluster in caps else None) for site in fleet.sites)
    return replace(fleet, sites=tuple(sites))


def keep_demand(scope: LiveScope, made_at: datetime, found: Mapping[str, Any]) -> None:
    named = names(scope)
    DemandForecast.objects.update_or_create(
        **named,
        defaults={"made_at": made_at, "found": dict(found)},
        create_defaults={**named, "made_at": made_at, "found": dict(found), "asked_at": made_at, "seen_at": made_at},
    )


def keep_fleet(fleet: Fleet, made_at: datetime) -> None:
    found = wire.written_fleet(fleet)
    FleetCapacity.objects.update_or_create(
        name=POOLS,
        defaults={"made_at": made_at, "found": found},
        create_defaults={"name": POOLS, "made_at": made_at, "found": found, "asked_at": made_at},
    )


def scopes_due(wanted: Iterable[LiveScope], now: datetime, older: timedelta) -> list[LiveScope]:
    """Of `wanted` and of all that pages have shown lately, those whose forecast is older, the ones that never had one first."""
    DemandForecast.objects.filter(seen_at__lt=now - FORGOTTEN).exclude(tenant="", tier="").delete()
    DemandForecast.objects.filter(seen_at__lt=now - FORGOTTEN, made_at__lt=now - FORGOTTEN).delete()
    made = {LiveScope(**_scope(row)): row["made_at"] for row in DemandForecast.objects.values(*SCOPE, "made_at")}
    every = dict.fromkeys([*wanted, *made])
    begin = datetime.min.replace(tzinfo=UTC)
    due = [scope for scope in every if (made.get(scope) or begin) <= now - older]
    return sorted(due, key=lambda scope: made.get(scope) or begin)


def names(scope: LiveScope) -> dict[str, str]:
    return {name: value or "" for name, value in asdict(scope).items()}


def _scope(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: row[name] or None for name in SCOPE}


def _outlook(scope: LiveScope, row: DemandForecast) -> DemandOutlook:
    found = row.found
    measures = {name: _measured(found["measures"][name]) for name in MEASURES if name in found.get("measures", {})}
    moments = {name: datetime.fromisoformat(found[name]) if found.get(name) else None for name in ("until", "first")}
    history_h, outage_h = (found.get(name, 0) for name in ("history_h", "outage_h"))
    return DemandOutlook(scope, row.made_at, **moments, history_h=history_h, outage_h=outage_h, measures=measures)


def _measured(found: Mapping[str, Any]) -> Measured:
    forecast, score = found.get("forecast"), found.get("score")
    return Measured(
        wire.read(forecast) if forecast else None,
        wire.read_score(score) if score else None,
        tuple(found["peaks"]),
        tuple(found["recent"]),
    )


def _demands(wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Asked]:
    """Of models and regions as a whole: all clusters, tenants and tiers."""
    rows = DemandForecast.objects.filter(cluster="", tenant="", tier="", made_at__isnull=False).exclude(model="")
    found = {}
    for row in rows:
        key = (row.model, row.region)
        measures = row.found.get("measures", {})
        forecasts = [measures.get(name, {}).get("forecast") for name in (INPUT, OUTPUT)]
        if key in wanted and all(forecasts):
            found[key] = Asked(*(wire.read(each) for each in forecasts))
    return found


def _ask_demand(row: DemandForecast | None, named: Mapping[str, str], now: datetime) -> None:
    """Once for everybody who waits."""
    if row is None:
        _, asked = DemandForecast.objects.get_or_create(**named, defaults={"asked_at": now, "seen_at": now})
    else:
        waits = DemandForecast.objects.filter(pk=row.pk, asked_at__lte=now - ASKED_AGAIN)
        asked = bool(waits.update(asked_at=now, seen_at=now))
    if asked:
        _announce()


def _ask_fleet(row: FleetCapacity | None, now: datetime) -> None:
    if row is None:
        _, asked = FleetCapacity.objects.get_or_create(name=POOLS, defaults={"asked_at": now})
    else:
        asked = bool(FleetCapacity.objects.filter(pk=row.pk, asked_at__lte=now - ASKED_AGAIN).update(asked_at=now))
    if asked:
        _announce()


def ask_again(now: datetime) -> None:
    """Everything that was worked out, after history has been put in behind it."""
    DemandForecast.objects.filter(made_at__isnull=False).update(asked_at=now)
    FleetCapacity.objects.filter(made_at__isnull=False).update(asked_at=now)


def pending(now: datetime) -> tuple[list[LiveScope], bool]:
    """What somebody has asked for since it was last worked out: scopes, the first asked first, and whether the fleet's."""
    waits = Q(made_at=None) | Q(asked_at__gt=F("made_at"))
    rows = DemandForecast.objects.filter(waits, asked_at__gt=now - GIVEN_UP).order_by("asked_at").values(*SCOPE)
    fleet = FleetCapacity.objects.filter(waits, asked_at__gt=now - GIVEN_UP).exists()
    return [LiveScope(**_scope(row)) for row in rows], fleet


def fleet_due(now: datetime, older: timedelta) -> bool:
    return not FleetCapacity.objects.filter(name=POOLS, made_at__gt=now - older).exists()


def _announce() -> None:
    try:
        current_app.send_task(TASK, retry=False, expires=60)
    except Exception:
        # Without a broker it waits for the next round of the worker.
        logger.warning("the capacity page waits: the broker does not answer", exc_info=True)
