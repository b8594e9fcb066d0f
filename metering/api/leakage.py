"""`GET /api/v1/leakage`: for operators' keys alone; engines serve many tenants, and no tenant is told of another's."""

from itertools import islice
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api import leakage_shapes as shapes
from metering.api.leakage_parameters import LeakageAsk, Position, encoded, leakage_ask
from metering.api.operator_views import JsonView
from metering.moments import instant
from metering.telemetry.reconciliation.report import (
    GROUPS,
    WINDOWS,
    LeakageReport,
    LeakageRow,
    LeakageState,
    leakage_report,
    leakage_state,
)

MOMENT = "RFC 3339 with an offset, or a date (its midnight in UTC), on a whole hour"


class LeakageView(JsonView):
    """Engine counters against metered events, by window and engine, and which engines are on alert."""

    @extend_schema(
        operation_id="leakage",
        parameters=[
            OpenApiParameter("from", str, description=f"inclusive; {MOMENT}; default: 24 hours before `to`"),
            OpenApiParameter(
                "to", str, description=f"exclusive; {MOMENT}; default: the end of the latest settled hour"
            ),
            OpenApiParameter("window", str, enum=WINDOWS, description="default: total"),
            OpenApiParameter(
                "group_by", str, description=f"comma-separated: {shapes.GROUPED_BY}; default: node,engine; empty: none"
            ),
            *(OpenApiParameter(name, str, description=f"only this {name}") for name in GROUPS),
            OpenApiParameter("limit", int, description="rows of a page; default: 1000, at most 10000"),
            OpenApiParameter("cursor", str, description="`next` of the page before"),
        ],
        responses=shapes.LeakageShape,
    )
    def get(self, request: Request) -> Response:
        ask = leakage_ask(request.query_params)
        report, state = _report(ask), leakage_state()
        page, following = _page(report.rows, ask)
        return Response(
            {
                "data": [shapes.row(row, ask.group_by) for row in page],
                "total": shapes.figures(report.total),
                "state": _state(state),
                "to": instant(report.end),
                "closed_until": instant(report.closed_until) if report.closed_until else None,
                "as_of": instant(timezone.now()),
                "next": following,
            }
        )


def _report(ask: LeakageAsk) -> LeakageReport:
    return leakage_report(ask.start, ask.end, window=ask.window, group_by=ask.group_by, only=ask.only)


def _state(state: LeakageState) -> dict[str, Any]:
    return {
        "at": instant(state.at) if state.at else None,
        "alert_share": state.threshold.share,
        "min_tokens": state.threshold.min_tokens,
        "alerts": [shapes.alert(one) for one in state.alerts],
        "findings": [shapes.finding(one) for one in state.findings],
    }


def _page(rows: tuple[LeakageRow, ...], ask: LeakageAsk) -> tuple[list[LeakageRow], str | None]:
    """By position in the order, not by count: rows that come between two pages shift nothing."""
    left = [row for row in rows if ask.after is None or _position(row) > ask.after]
    page = list(islice(left, ask.limit))
    return page, encoded(_position(page[-1])) if len(page) < len(left) else None


def _position(row: LeakageRow) -> Position:
    return [instant(row.window_start), *(getattr(row, name) for name in GROUPS)]
