"""The operator's overview: the page, and the stream that keeps it live."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from dashboard import figures
from dashboard.access import OPERATOR, Visitor, only
from dashboard.operator.feed import FeedHub
from dashboard.operator.filters import LATENCIES, RANGES, Filters, UnknownFilter
from dashboard.operator.overview import Overview, OverviewReader
from dashboard.operator.tiles import table_context, tiles
from metering.public import ClickHouseRefused, ClickHouseUnavailable

logger = logging.getLogger(__name__)
reader = OverviewReader()
UNREADABLE = (ClickHouseUnavailable, ClickHouseRefused, DatabaseError)


@require_GET
@only(OPERATOR)
def overview(request: HttpRequest, who: Visitor) -> HttpResponse:
    try:
        filters = Filters.read(request.GET.dict())
    except UnknownFilter as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    page: dict[str, Any] = {"section": "overview", "filters": filters, "ranges": RANGES, "latencies": LATENCIES}
    try:
        page |= {"choices": reader.choices(filters), **_first_reading(reader.glance(filters))}
    except UNREADABLE as error:
        logger.warning("the overview cannot be read: %s", error)
        return render(request, "operator/overview.html", page | {"trouble": _explained(error)}, status=503)
    return render(request, "operator/overview.html", page)


@require_GET
@only(OPERATOR)
def live(request: HttpRequest, who: Visitor) -> HttpResponse | StreamingHttpResponse:
    """Server-sent events: `reading` with {at, html, series}, or `trouble` with {message}."""
    try:
        filters = Filters.read(request.GET.dict())
    except UnknownFilter as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    response = StreamingHttpResponse(hub.events(filters), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    # The stream lives for minutes and needs no database: give this request's connection back to the pool now.
    connections.close_all()
    return response


def reading(filters: Filters) -> bytes:
    """One event of the stream, in its wire form."""
    try:
        found = reader.read(filters)
        shown = _shown(found)
        body = {
            "at": found.now.at,
            "html": {
                "tiles": render_to_string("operator/_tiles.html", shown),
                "tables": render_to_string("operator/_tables.html", shown),
            },
            "series": figures.overview_series(found.points),
        }
        return _event("reading", body)
    except UNREADABLE as error:
        logger.warning("the live feed cannot be read: %s", error)
        return _event("trouble", {"message": _explained(error)})
    except Exception:
        # Whatever it is, listeners are told and the feed goes on; the trace is for the operator's log.
        logger.exception("the live feed failed")
        return _event("trouble", {"message": "The figures cannot be read. The server's log has the reason."})
    finally:
        connections.close_all()  # this thread belongs to a pool and no request would ever close it


hub = FeedHub(reading)


def _first_reading(found: Overview) -> dict[str, Any]:
    drawn = {"figures": figures.overview_figures(), "series": figures.overview_series(found.points)}
    return _shown(found) | drawn | {"at": datetime.now(UTC), "ever": found.freshness.ever}


def _shown(found: Overview) -> dict[str, Any]:
    return {"tiles": tiles(found)} | table_context(found)


def _explained(error: Exception) -> str:
    if isinstance(error, ClickHouseUnavailable):
        return "ClickHouse does not answer. The page goes on by itself when it is back."
    if isinstance(error, ClickHouseRefused):
        return f"ClickHouse refused the question (code {error.code}). The server's log has the details."
    return "PostgreSQL does not answer. The page goes on by itself when it is back."


def _event(name: str, body: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(body) + b"\n\n"
