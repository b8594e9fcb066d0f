"""`GET /api/v1/saturation` and its history: for operators' keys alone; engines serve many tenants."""

from dataclasses import asdict
from itertools import islice

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api import saturation_shapes as shapes
from metering.api.operator_views import JsonView
from metering.api.saturation_parameters import (
    CURRENT,
    WINDOWS,
    CurrentAsk,
    Position,
    current_ask,
    encoded,
    history_ask,
)
from metering.clickhouse.queries.fleet_series import ENGINE_GROUPS
from metering.moments import instant
from metering.telemetry.fleet import fleet_engines
from metering.telemetry.fleet_history import SaturationPoint, saturation_series
from metering.telemetry.progress import closed_until
from metering.telemetry.saturation_scopes import ENGINE, EngineState, scopes
from metering.telemetry.settings import saturation_points

MOMENT = "RFC 3339 with an offset, or a date (its midnight in UTC), on a whole minute"
NARROWED = [OpenApiParameter(name, str, description=f"only this {name}") for name in ENGINE_GROUPS]


class SaturationView(JsonView):
    """How saturated every engine is now, what binds it, and since when; or the nodes, models or regions they add up to."""

    @extend_schema(
        operation_id="saturation",
        parameters=[OpenApiParameter("group_by", str, enum=CURRENT, description="default: engine"), *NARROWED],
        responses=shapes.SaturationShape,
    )
    def get(self, request: Request) -> Response:
        ask, now = current_ask(request.query_params), timezone.now()
        found = [each for each in fleet_engines(now) if _asked(each, ask)]
        if ask.group_by == ENGINE:
            data = [shapes.engine(each) for each in found]
        else:
            data = [shapes.scope(each) for each in scopes(found, ask.group_by)]
        points = asdict(saturation_points())
        return Response({"data": data, "points": points, "as_of": instant(now), "next": None})


class SaturationHistoryView(JsonView):
    """The same over time, from minutes that are worked up."""

    @extend_schema(
        operation_id="saturation_history",
        parameters=[
            OpenApiParameter("from", str, description=f"inclusive; {MOMENT}; default: an hour before `to`"),
            OpenApiParameter("to", str, description=f"exclusive; {MOMENT}; default: now"),
            OpenApiParameter("window", str, enum=[*WINDOWS, "total"], description="default: minute"),
            OpenApiParameter(
                "group_by",
                str,
                description=f"comma-separated: {', '.join(ENGINE_GROUPS)}; default: none, the whole fleet",
            ),
            *NARROWED,
            OpenApiParameter("limit", int, description="rows of a page; default: 1000, at most 10000"),
            OpenApiParameter("cursor", str, description="`next` of the page before"),
        ],
        responses=shapes.SaturationHistoryShape,
    )
    def get(self, request: Request) -> Response:
        ask = history_ask(request.query_params)
        left = [row for row in saturation_series(ask.range) if ask.after is None or _position(row) > ask.after]
        page = list(islice(left, ask.limit))
        closed = closed_until("rollups")
        return Response(
            {
                "data": [shapes.point(row) for row in page],
                "as_of": instant(timezone.now()),
                "closed_until": instant(closed) if closed else None,
                "next": encoded(_position(page[-1])) if len(page) < len(left) else None,
            }
        )


def _asked(engine: EngineState, ask: CurrentAsk) -> bool:
    return all(getattr(engine, name) == value for name, value in ask.only.items())


def _position(row: SaturationPoint) -> Position:
    """By position in the order, not by count: rows that come between two pages shift nothing."""
    return [instant(row.start), *row.group.values()]
