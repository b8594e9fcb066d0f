"""The finance endpoints. Each fetches, calls a service, and gives rows to a renderer."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import costing, forecast, invoices
from billing.api import parameters, shapes
from billing.api.access import HasScope, tenant_asked
from billing.api.pages import paged
from billing.api.renderers import CsvRenderer
from billing.contracts import CREDIT_NOTE_COLUMNS, INVOICE_COLUMNS, CostRow
from billing.invoicing import DraftRefused
from metering.contracts import DIMENSIONS, Scope
from metering.public import instant
from metering.public_api import InvalidParameter, KeyAuthentication, credential_of, problem_handler

TENANT = OpenApiParameter("tenant", str, description="for an operator's key: only this tenant")
LIMIT = OpenApiParameter(
    "limit", int, description=f"rows of a page, at most {parameters.MAX_LIMIT}; CSV without it has all rows"
)
CURSOR = OpenApiParameter("cursor", str, description="`next` of the page before")
MONTHS = "RFC 3339 with an offset, or a date (its midnight in UTC)"


class FinanceView(APIView):
    """Key authentication, the scope of the view, JSON or CSV, problems for errors."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    renderer_classes = (JSONRenderer, CsvRenderer)
    required_scope: ClassVar[Scope]

    def get_exception_handler(self) -> Any:
        return problem_handler

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:  # what REST framework says to a `format` that no renderer has
            raise InvalidParameter("format", "neither json nor csv") from None

    def everything(self, request: Request) -> bool:
        """CSV goes to spreadsheets, which follow no cursors: it holds all rows unless a limit is asked for."""
        return request.accepted_renderer.format == CsvRenderer.format

    def answer(
        self, request: Request, columns: Sequence[str], rows: list[dict[str, Any]], following: str | None, **more: Any
    ) -> Response:
        """`following`: the cursor of the next page. In CSV it is a Link header, since the body has no place for it."""
        if not self.everything(request):
            return Response({"data": rows, **more, "next": following})
        headers = {"Content-Disposition": 'attachment; filename="tallywatt.csv"'}
        if following is not None:
            query = request.query_params.copy()
            query["cursor"] = following
            headers["Link"] = f'<{request.build_absolute_uri(request.path)}?{query.urlencode()}>; rel="next"'
        return Response({"columns": columns, "data": rows}, headers=headers)


class UsageView(FinanceView):
    """Usage and its cost by window and groups."""

    required_scope = Scope.USAGE_READ

    @extend_schema(
        operation_id="usage",
        parameters=[
            OpenApiParameter("from", str, description=f"start, inclusive; {MONTHS}; default: this month's start"),
            OpenApiParameter("to", str, description=f"end, exclusive; {MONTHS}; default: now"),
            OpenApiParameter("window", str, enum=parameters.WINDOWS, description="default: total"),
            OpenApiParameter(
                "group_by", str, description=f"comma-separated: {', '.join(DIMENSIONS)}; operators: tenant"
            ),
            TENANT,
            LIMIT,
            CURSOR,
        ],
        responses=shapes.UsageShape,
    )
    def get(self, request: Request) -> Response:
        credential = credential_of(request)
        query = request.query_params
        tenant = tenant_asked(credential, parameters.single(query, "tenant"))
        ask = parameters.usage_ask(query, every_tenant=credential.tenant is None, everything=self.everything(request))
        as_of = timezone.now()
        rows = _costs(ask, tenant)
        page, following = paged(rows, ask, _position)
        shown = [shapes.usage_row(row, ask.group_by) for row in page]
        return self.answer(request, shapes.usage_columns(ask.group_by), shown, following, as_of=instant(as_of))


class InvoicesView(FinanceView):
    """Final invoices, the newest first."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(
        operation_id="invoices",
        parameters=[OpenApiParameter("status", str, enum=invoices.STATUSES), TENANT, LIMIT, CURSOR],
        responses=shapes.InvoicesShape,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("tenant", "status", "limit", "cursor", "format"))
        status = parameters.single(query, "status")
        if status is not None and status not in invoices.STATUSES:
            raise InvalidParameter("status", f"{status!r} is not one of {', '.join(invoices.STATUSES)}")
        tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
        size = parameters.limit(query, everything=self.everything(request))
        before = parameters.cursor_text(query)
        rows = invoices.invoices(tenant, limit=None if size is None else size + 1, before=before, status=status)
        page = rows if size is None else rows[:size]
        following = parameters.encoded(page[-1].number) if len(page) < len(rows) else None
        return self.answer(request, INVOICE_COLUMNS, [shapes.invoice_row(row) for row in page], following)


class DraftView(FinanceView):
    """What a tenant's current period costs so far, as its invoice would say it, and what it is expected to cost."""

    required_scope = Scope.FINANCE_READ
    renderer_classes = (JSONRenderer,)  # type: ignore[assignment]  # no rows, so no CSV

    @extend_schema(operation_id="invoice_draft", parameters=[TENANT], responses=shapes.DraftShape)
    def get(self, request: Request) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("tenant", "format"))
        tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
        if tenant is None:
            raise InvalidParameter("tenant", "an operator's key names the tenant whose draft it asks for")
        try:
            found = forecast.draft(tenant)
        except DraftRefused as error:
            raise InvalidParameter("tenant", str(error)) from error
        return Response(shapes.draft_row(found))


class CreditNotesView(FinanceView):
    """Credit notes, the newest first."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="credit_notes", parameters=[TENANT, LIMIT, CURSOR], responses=shapes.CreditNotesShape)
    def get(self, request: Request) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("tenant", "limit", "cursor", "format"))
        tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
        size = parameters.limit(query, everything=self.everything(request))
        before = parameters.cursor_text(query)
        rows = invoices.credit_notes(tenant, limit=None if size is None else size + 1, before=before)
        page = rows if size is None else rows[:size]
        following = parameters.encoded(page[-1].number) if len(page) < len(rows) else None
        return self.answer(request, CREDIT_NOTE_COLUMNS, [shapes.credit_note_row(row) for row in page], following)


class InvoiceLinesView(FinanceView):
    """The lines of one invoice, all of them."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="invoice_lines", responses=shapes.LinesShape)
    def get(self, request: Request, number: str) -> Response:
        parameters.refuse_unknown(request.query_params, ("format",))
        found = invoices.invoice(number, credential_of(request).tenant)
        if found is None:  # another tenant's is not told apart from one that does not exist
            raise exceptions.NotFound(f"there is no invoice {number!r}")
        rows = [shapes.line_row(line, found.summary.currency) for line in found.lines]
        return self.answer(request, shapes.LINE_COLUMNS, rows, None)


def _costs(ask: parameters.UsageAsk, tenant: str | None) -> list[CostRow]:
    groups = tuple(name for name in ask.group_by if name != "tenant")
    try:
        return costing.costed_usage(
            ask.start, ask.end, tenant=tenant, group_by=groups, window=ask.window, by_tenant="tenant" in ask.group_by
        )
    except ValueError as error:  # such as a range of more than 15 years
        raise InvalidParameter("to", str(error)) from error


def _position(row: CostRow) -> list[Any]:
    return [instant(row.window_start), row.tenant, *row.groups.values(), row.currency]
