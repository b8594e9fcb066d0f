"""`GET /api/v1/energy`: for operators' keys alone; what an idle GPU burns is the provider's business, and engines serve many tenants."""

from itertools import islice

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api import energy_shapes as shapes
from metering.api.energy_parameters import EnergyAsk, Position, encoded, energy_ask
from metering.api.operator_views import JsonView
from metering.api.problems import InvalidParameter
from metering.moments import instant
from metering.telemetry.energy.report import GROUPS, WINDOWS, EnergyReport, EnergyRow, energy_report

MOMENT = "RFC 3339 with an offset, or a date (its midnight in UTC), on a whole hour"


class EnergyView(JsonView):
    """Joules by tenant, model and place, with cost and CO2; idle time and what is nobody's, by cause, in rows of their own."""

    @extend_schema(
        operation_id="energy",
        parameters=[
            OpenApiParameter("from", str, description=f"inclusive; {MOMENT}; default: the start of the month of `to`"),
            OpenApiParameter(
                "to", str, description=f"exclusive; {MOMENT}; default: the end of the latest settled hour"
            ),
            OpenApiParameter("window", str, enum=WINDOWS, description="default: total"),
            OpenApiParameter("group_by", str, description=f"comma-separated: {shapes.GROUPED_BY}"),
            *(OpenApiParameter(name, str, description=f"only this {name}") for name in GROUPS),
            OpenApiParameter("limit", int, description="rows of a page; default: 1000, at most 10000"),
            OpenApiParameter("cursor", str, description="`next` of the page before"),
        ],
        responses=shapes.EnergyShape,
    )
    def get(self, request: Request) -> Response:
        ask = energy_ask(request.query_params)
        report = _report(ask)
        page, following = _page(report.rows, ask)
        return Response(
            {
                "data": [shapes.row(row, ask.group_by) for row in page],
                "total": shapes.amounts(report.total),
                "to": instant(report.end),
                "closed_until": instant(report.closed_until) if report.closed_until else None,
                "as_of": instant(timezone.now()),
                "next": following,
            }
        )


def _report(ask: EnergyAsk) -> EnergyReport:
    try:
        return energy_report(ask.start, ask.end, window=ask.window, group_by=ask.group_by, only=ask.only)
    except ValueError as error:  # a range of more than 15 years
        raise InvalidParameter("to", str(error)) from error


def _page(rows: tuple[EnergyRow, ...], ask: EnergyAsk) -> tuple[list[EnergyRow], str | None]:
    """By position in the order, not by count: rows that come between two pages shift nothing."""
    left = [row for row in rows if ask.after is None or _position(row) > ask.after]
    page = list(islice(left, ask.limit))
    return page, encoded(_position(page[-1])) if len(page) < len(left) else None


def _position(row: EnergyRow) -> Position:
    return [instant(row.window_start), row.label, *row.groups.values()]
