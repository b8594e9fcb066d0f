"""The page of the fleet's saturation; it asks for itself again every few seconds (refresh.js), its chart once a minute."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard import trouble
from dashboard.access import OPERATOR, Visitor, only
from dashboard.figures_fleet import saturation_figure
from dashboard.operator import fleet_gpus as gpus_shown
from dashboard.operator import fleet_shown as shown
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import UnknownFilter
from dashboard.operator.ranges import MINUTES, chosen
from metering.public import (
    EngineState,
    FleetRange,
    fleet_engines,
    fleet_gpus,
    fleet_scopes,
    saturation_points,
    saturation_series,
)

TEMPLATE = "operator/fleet.html"
STEPS = {
    "1h": timedelta(minutes=1),
    "6h": timedelta(minutes=5),
    "24h": timedelta(minutes=15),
    "7d": timedelta(hours=2),
}
MOST_ENGINES = 100
MOST_SCOPES = 64
LONGEST_NAME = 200


@dataclass(frozen=True)
class Asked:
    """`node`: engines and GPUs of this one alone, '' for all. `now`: without the chart, for a page that has one already."""

    range: str
    node: str
    now: bool

    @classmethod
    def read(cls, request: HttpRequest) -> "Asked":
        """Raises UnknownFilter."""
        node = request.GET.get("node", "")
        if len(node) > LONGEST_NAME or "\x00" in node:
            raise UnknownFilter("There is no node with such a name.")
        return cls(chosen(request.GET.get("range"), MINUTES, "1h"), node, request.GET.get("part") == "now")


@require_GET
@only(OPERATOR)
def fleet(request: HttpRequest, who: Visitor) -> HttpResponse:
    try:
        asked = Asked.read(request)
    except UnknownFilter as error:
        return trouble.not_understood(request, error)
    now = datetime.now(UTC)
    page: dict[str, Any] = {
        "section": "fleet",
        "part": "saturation",
        "at": now,
        "ranges": MINUTES,
        "range": asked.range,
    }
    page |= {"node": asked.node}
    try:
        page |= _reading(asked, now)
        page["figures"] = {} if asked.now else {"chart-saturation": _figure(asked.range, now)}
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, TEMPLATE, page, error)
    return render(request, TEMPLATE, page)


def _reading(asked: Asked, now: datetime) -> dict[str, Any]:
    engines, gpus = fleet_engines(now), fleet_gpus(now, asked.node or None)
    simulated = [*(one.simulated for one in engines), *(one.simulated for one in gpus)]
    listed = [one for one in engines if asked.node in {"", one.node}]
    return {
        "engines": bool(engines),
        "findings": words.findings(engines, fleet_scopes(engines, "model"), now),
        "scopes": [
            ("model", "Models", _scopes(engines, "model", now)),
            ("region", "Regions", _scopes(engines, "region", now)),
            ("node", "Nodes", _scopes(engines, "node", now)),
        ],
        "engine_rows": shown.engine_rows(listed, saturation_points(), now)[:MOST_ENGINES],
        "engines_in_all": len(listed),
        "gpu_rows": gpus_shown.gpu_rows(gpus, now),
        "gpus_in_all": len(gpus),
        "simulated": any(simulated),
        "all_simulated": all(simulated),
    }


def _scopes(engines: list[EngineState], group: str, now: datetime) -> list[shown.ScopeRow]:
    return shown.scope_rows(fleet_scopes(engines, group), engines, now)[:MOST_SCOPES]


def _figure(key: str, now: datetime) -> dict[str, Any]:
    """Steps on whole multiples of themselves, so that points stay where they are while time goes on."""
    step = STEPS[key]
    first = int(MINUTES[key].start(now).timestamp() // step.total_seconds() * step.total_seconds())
    start, end = datetime.fromtimestamp(first, UTC), now.replace(second=0, microsecond=0)
    points = saturation_series(FleetRange(start, end, step, ("model",)))
    count = -((start - end) // step)
    return saturation_figure(points, [start + n * step for n in range(count)], words.LIMITS)
