"""What the overview's sentence is made from, read once for everybody who looks at the same part of the service."""

from datetime import UTC, datetime, timedelta

from dashboard.operator.aside import ASIDE
from dashboard.operator.fleet_reading import engines_at_hand, engines_now
from dashboard.operator.shelf import SHELF
from dashboard.operator.state import Mark, Signals
from metering.public import EngineState, LiveScope, annotations, causes

CAUSES_FRESH_S = 4.0  # from rows of minutes, so nothing is lost by it
STILL_TRUE_S = 30.0
DEPLOYS_LOOKED_BACK = timedelta(hours=2, minutes=15)


def signals(scope: LiveScope, newest: datetime | None, *, ever: bool, glance: bool = False) -> Signals | None:
    """None while causes are being read, which takes longer than a tick may. `newest`: the latest arrival of any event. `glance`: None
    also where engines would have to be read first.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    found = ASIDE.latest(
        ("state-causes", scope), CAUSES_FRESH_S, STILL_TRUE_S, lambda: causes(scope, datetime.now(UTC), newest)
    )
    if found is None or (glance and not engines_at_hand()):
        return None
    engines = [one for one in engines_now(glance=glance).found if is_in(one, scope)]
    deploys = SHELF.kept("state-deploys", CAUSES_FRESH_S, lambda: deploys_lately(datetime.now(UTC)))
    return Signals(found.at, found, engines, ever, deploys)


def deploys_lately(now: datetime) -> list[Mark]:
    """Of the two hours and a quarter in which a cause is looked for, and what led to it."""
    told = annotations(now - DEPLOYS_LOOKED_BACK, now)
    return [Mark(one.at, one.text, one.model) for one in told if one.kind == "deploy"]


def is_in(engine: EngineState, scope: LiveScope) -> bool:
    asked = (scope.model, engine.model), (scope.region, engine.region), (scope.cluster, engine.cluster)
    return all(wanted in {None, there} for wanted, there in asked)
