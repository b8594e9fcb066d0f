"""Working out what pages ask for and what is due, in a process of its own: a fit would hold up the worker's other threads."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

from metering import moments
from metering.advisory import advisory_lock
from metering.capacity import storing, wire
from metering.capacity.backtest import forecast
from metering.capacity.forecast import started
from metering.capacity.measuring import measured
from metering.capacity.outages import REQUESTS_COLUMN, bridged
from metering.capacity.seasons import DAY_H
from metering.clickhouse import client
from metering.clickhouse.queries.capacity import DemandHours, DemandPlaces
from metering.clickhouse.queries.live_sources import Subset
from metering.live import LiveScope

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
HISTORY = timedelta(days=400)
SETTLES = timedelta(minutes=10)  # an hour is whole this long after its end
HOUR = timedelta(hours=1)
PLACES_SEEN = timedelta(days=35)
MOST_SCOPES = 200  # that are kept up to date without anybody asking
RENEWED = timedelta(hours=23)
RECENT_H = 14 * DAY_H
LOCK = 0xCA9AC17
TIMEOUT_S = 60.0
LIMIT_S = 3600


def run_apart(now: datetime) -> bool:
    """Start the process and wait for it, if there is anything to do. Returns whether there was."""
    scopes, fleet = storing.pending(now)
    if not (scopes or fleet or storing.fleet_due(now, RENEWED) or storing.scopes_due([LiveScope()], now, RENEWED)):
        return False
    own = {"TALLYWATT_DATA_DIR": str(settings.DATA_DIR), "DJANGO_SETTINGS_MODULE": "config.settings"}
    own |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    words = [sys.executable, "-m", "django", "plan_capacity"]
    done = subprocess.run(  # noqa: S603 - our own command
        words,
        cwd=settings.BASE_DIR,
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        logger.warning("capacity was not worked out: %s", (done.stderr or done.stdout).strip()[-500:])
    return True


def work(clock: Callable[[], datetime], say: Callable[[str], None], *, everything: bool = False) -> int:
    """What is asked for first, then what is due; `everything`: as if all were. Returns how many were worked out: 0 while another
    process does it."""
    with advisory_lock(LOCK) as ours:
        return _work(clock, say, everything) if ours else 0


def _work(clock: Callable[[], datetime], say: Callable[[str], None], everything: bool) -> int:
    older = timedelta(0) if everything else RENEWED
    done = 0
    began = clock()
    if storing.fleet_due(began, older) or storing.pending(began)[1]:
        fleet(clock(), say)
        done += 1
    for scope in storing.scopes_due(places(began), began, older):
        done += _answer(clock, say)
        if storing.scopes_due([scope], began, older).count(scope):  # not among those that were just asked for
            demand(scope, clock(), say)
            done += 1
    return done + _answer(clock, say)


def _answer(clock: Callable[[], datetime], say: Callable[[str], None]) -> int:
    """All that somebody waits for."""
    done = 0
    while scopes := storing.pending(clock())[0]:
        demand(scopes[0], clock(), say)
        done += 1
    return done


def fleet(now: datetime, say: Callable[[str], None]) -> None:
    found = measured(now)
    storing.keep_fleet(found, now)
    say(f"capacity of {len(found.pools)} pools")


def places(now: datetime) -> list[LiveScope]:
    """All, and every region, cluster, model, and model in a region that was asked for lately."""
    found = [LiveScope()]
    for model, region, cluster, _ in _run(DemandPlaces(moments.seconds(now - PLACES_SEEN))):
        found += [LiveScope(model=model, region=region or None), LiveScope(model=model)]
        found += [LiveScope(region=region)] if region else []
        found += [LiveScope(cluster=cluster)] if cluster else []
    return list(dict.fromkeys(found))[:MOST_SCOPES]


def demand(scope: LiveScope, now: datetime, say: Callable[[str], None]) -> None:
    until = (now - SETTLES).replace(minute=0, second=0, microsecond=0)
    start = until - HISTORY
    hours = history(scope, start, until)
    used = hours[len(hours) - len(started(hours[:, REQUESTS_COLUMN])) :]
    known, outage_h = bridged(used)
    first = until - len(used) * HOUR
    found: dict[str, Any] = {
        "until": until.isoformat(),
        "first": first.isoformat() if len(used) else None,
        "history_h": len(used),
        "outage_h": outage_h,
        "measures": {},
    }
    for index, name in enumerate(storing.MEASURES):
        values = used[:, index]
        made, score = forecast(known[:, index], until)
        found["measures"][name] = {
            "forecast": wire.written(made) if made else None,
            "score": wire.written_score(score) if score else None,
            "peaks": wire.numbers(_peaks(values)),
            "recent": wire.numbers(values[-RECENT_H:]),
        }
    storing.keep_demand(scope, now, found)
    named = ", ".join(value for value in storing.names(scope).values() if value)
    say(f"demand of {named or 'everything'}: {len(used)} hours of history")


def history(scope: LiveScope, start: datetime, until: datetime) -> Floats:
    """Tokens in, tokens out and requests of every hour; none is 0."""
    first, last = moments.seconds(start), moments.seconds(until)
    subset = Subset(scope.tenant, scope.model, scope.tier, scope.region, scope.cluster)
    found = np.zeros(((last - first) // 3600, 3))
    for at, *values in _run(DemandHours(first, last, subset)):
        found[(at - first) // 3600] = values
    return found


def _peaks(values: Floats) -> Floats:
    """Of whole days, counted back from the end."""
    whole = values[len(values) % DAY_H :]
    return np.asarray(whole.reshape(-1, DAY_H).max(axis=1)) if whole.size else whole


def _run(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S).rows
