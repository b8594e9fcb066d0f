"""`GET /api/v1/margin`: for operators' keys alone. A margin is the provider's own business, also towards the tenant whose it is."""

from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from billing import margin, periods
from billing.api import margin_shapes, parameters
from billing.api.access import tenant_asked
from billing.api.pages import paged
from billing.api.views import CURSOR, LIMIT, MONTHS, TENANT, FinanceView
from billing.contracts import MarginReport, MarginRow
from metering.contracts import Credential, Scope
from metering.public import instant
from metering.public_api import InvalidParameter, credential_of

HOURS = f"{MONTHS}, on a whole hour"


class MarginView(FinanceView):
    """Revenue less energy and GPU time, by window, tenant and model."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(
        operation_id="margin",
        parameters=[
            OpenApiParameter("from", str, description=f"inclusive; {HOURS}; default: the start of the month of `to`"),
            OpenApiParameter("to", str, description=f"exclusive; {HOURS}; default: up to where energy is settled"),
            OpenApiParameter("window", str, enum=margin.WINDOWS, description="default: total"),
            OpenApiParameter("group_by", str, description="comma-separated: tenant, model; default: both"),
            TENANT,
            LIMIT,
            CURSOR,
        ],
        responses=margin_shapes.MarginShape,
    )
    def get(self, request: Request) -> Response:
        credential, query = credential_of(request), request.query_params
        _require_operator(credential)
        ask = _ask(query, everything=self.everything(request))
        found = _margin(ask, tenant_asked(credential, parameters.single(query, "tenant")))
        page, following = paged(found.rows, ask, _position)
        if self.everything(request):
            lines = [line for row in page for line in margin_shapes.csv_lines(row, ask.group_by)]
            return self.answer(request, margin_shapes.columns(ask.group_by), lines, following)
        return self.answer(
            request,
            (),
            [margin_shapes.json_row(row, ask.group_by) for row in page],
            following,
            total=margin_shapes.json_row(found.total, ()),
            to=instant(found.end),
            closed_until=instant(found.closed_until) if found.closed_until else None,
            as_of=instant(timezone.now()),
        )


def _require_operator(credential: Credential) -> None:
    if credential.tenant is not None:
        raise exceptions.PermissionDenied("margins are for operators' keys only")


def _ask(query: QueryDict, *, everything: bool) -> parameters.UsageAsk:
    parameters.refuse_unknown(query, ("from", "to", "window", "group_by", "tenant", "limit", "cursor", "format"))
    end = (
        _hour(query, "to") or margin.margin_settled_hour() or timezone.now().replace(minute=0, second=0, microsecond=0)
    )
    start = _hour(query, "from") or periods.month_of(end - margin.HOUR).start
    groups = parameters.groups_of(query, margin.GROUPS) if "group_by" in query else margin.GROUPS
    return parameters.windows_ask(query, start, end, groups, everything=everything)


def _hour(query: QueryDict, name: str) -> datetime | None:
    found = parameters.moment_of(query, name)
    if found is not None and found != found.replace(minute=0, second=0, microsecond=0):
        raise InvalidParameter(name, f"{found.isoformat()} is not on a whole hour of UTC")
    return found


def _margin(ask: parameters.UsageAsk, tenant: str | None) -> MarginReport:
    try:
        return margin.margin_report(ask.start, ask.end, window=ask.window, tenant=tenant, group_by=ask.group_by)
    except ValueError as error:  # such as a range of more than 15 years
        raise InvalidParameter("to", str(error)) from error


def _position(row: MarginRow) -> list[Any]:
    return [instant(row.window_start), row.tenant, row.model, row.label]
