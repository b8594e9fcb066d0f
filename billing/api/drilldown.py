"""What an invoice line is made of: hours, or requests, each with its part of the line's amount."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import drilldown
from billing.api import parameters
from billing.api.shapes import Money
from billing.api.views import CURSOR, FinanceView
from billing.drilldown import NotUsage, Position, RequestShare, Share, UnknownLine
from billing.invoices import payable
from billing.rating import plain
from billing.stored import UnknownInvoice
from metering.contracts import Scope
from metering.public import instant
from metering.public_api import InvalidParameter, credential_of

WINDOWS = ("hour", "request")
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000  # of requests; hours come all together
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 253_402_300_800_000  # the year 10000
HOUR_COLUMNS = ("hour", "requests", "quantity", "amount_exact", "amount", "residual", "currency")
TEXTS = ("source", "id", "model", "operation", "tier", "region", "status", "project", "api_key_id")
COUNTS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
REQUEST_COLUMNS = ("time", *TEXTS, *COUNTS, "quantity", "amount_exact", "amount", "residual", "currency")


class RowShape(serializers.Serializer[Any]):
    """Hours have `hour` and `requests`; requests have `time` and the rest of what was metered."""

    hour = serializers.DateTimeField(required=False, help_text="its start, UTC")
    requests = serializers.IntegerField(required=False, help_text="in that hour; some may have nothing on the line")
    time = serializers.DateTimeField(required=False)
    source = serializers.CharField(required=False)  # type: ignore[assignment]
    id = serializers.CharField(required=False)
    quantity = serializers.IntegerField(help_text="what of it is on the line")
    amount_exact = Money(help_text="in proportion to the quantity; amount + residual")
    amount = Money(help_text="allocated in whole minor units: all rows of a line sum to its amount")
    residual = Money()
    currency = serializers.CharField()


class LineUsageShape(serializers.Serializer[Any]):
    data = RowShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)


@dataclass(frozen=True)
class _Ask:
    window: str
    hour: datetime | None
    after: Position | None
    limit: int


class LineUsageView(FinanceView):
    """The usage behind one line of an invoice, with every row's part of its amount."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(
        operation_id="invoice_line_usage",
        parameters=[
            OpenApiParameter("window", str, enum=WINDOWS, description="default: hour"),
            OpenApiParameter(
                "hour", str, description="for requests: those of the hour that begins then alone; RFC 3339"
            ),
            OpenApiParameter("limit", int, description=f"requests of a page, at most {MAX_LIMIT}"),
            CURSOR,
        ],
        responses=LineUsageShape,
    )
    def get(self, request: Request, number: str, line: int) -> Response:
        ask = _asked(request)
        tenant = credential_of(request).tenant
        try:
            if ask.window == "hour":
                found = drilldown.hours(number, line, tenant)
                rows = [_hour(one, found.invoice.currency) for one in found.hours]
                return self.answer(request, HOUR_COLUMNS, rows, None)
            page = drilldown.requests(number, line, tenant, hour=ask.hour, after=ask.after, limit=ask.limit)
        except (UnknownInvoice, UnknownLine, NotUsage) as error:
            raise exceptions.NotFound(str(error)) from error
        rows = [_request(one, page.currency) for one in page.requests]
        return self.answer(request, REQUEST_COLUMNS, rows, _encoded(page.after))


def _asked(request: Request) -> _Ask:
    query = request.query_params
    parameters.refuse_unknown(query, ("window", "hour", "limit", "cursor", "format"))
    window = parameters.single(query, "window") or "hour"
    if window not in WINDOWS:
        raise InvalidParameter("window", f"{window!r} is not one of {', '.join(WINDOWS)}")
    for name in ("hour", "limit", "cursor"):
        if window == "hour" and name in query:
            raise InvalidParameter(name, "is for window=request")
    limit = parameters.limit(query, everything=True) or DEFAULT_LIMIT
    if limit > MAX_LIMIT:
        raise InvalidParameter("limit", f"{limit} is more than {MAX_LIMIT}")
    return _Ask(window, parameters.moment_of(query, "hour"), _position(parameters.cursor_text(query)), limit)


def _position(text: str | None) -> Position | None:
    """The cursor: a list of the time in epoch ms, source and id."""
    if text is None:
        return None
    match _parsed(text):
        case [int(time_ms), str(source), str(request_id)] if 0 <= time_ms < LATEST_MS:
            return EPOCH + timedelta(milliseconds=time_ms), source, request_id
    raise InvalidParameter("cursor", "not one that this endpoint gave")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _encoded(after: Position | None) -> str | None:
    if after is None:
        return None
    time, source, request_id = after
    return parameters.encoded(json.dumps([(time - EPOCH) // timedelta(milliseconds=1), source, request_id]))


def _hour(one: Share, currency: str) -> dict[str, Any]:
    return {
        "hour": instant(one.start),
        "requests": one.requests,
        "quantity": one.quantity,
        **_money(one, currency),
    }


def _request(one: RequestShare, currency: str) -> dict[str, Any]:
    asked = one.request
    return {
        "time": instant(asked.time),
        **{name: getattr(asked, name) for name in (*TEXTS, *COUNTS)},
        "quantity": asked.quantity,
        **_money(one, currency),
    }


def _money(one: Share | RequestShare, currency: str) -> dict[str, Any]:
    return {
        "amount_exact": plain(one.amount_exact),
        "amount": format(payable(one.amount, currency), "f"),
        "residual": plain(one.residual),
        "currency": currency,
    }
