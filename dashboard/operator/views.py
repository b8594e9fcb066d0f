"""The streams that keep the operator's pages live."""

from collections.abc import Callable, Hashable

from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from dashboard.access import OPERATOR, Visitor, only
from dashboard.operator import quarantine
from dashboard.operator.feed import FeedHub, Reading
from dashboard.operator.filters import Filters, UnknownFilter
from dashboard.operator.pages import reading, told, words
from dashboard.operator.registry import PAGES
from metering.public import EntryFilter
from metering.public import UnknownFilter as UnknownEntryFilter

hub = FeedHub()


@require_GET
@only(OPERATOR)
def live(request: HttpRequest, who: Visitor, key: str) -> HttpResponse | StreamingHttpResponse:
    """Server-sent events: `reading` with {at, html, figures}, of the last two what has changed; or `trouble` with {message}."""
    page = PAGES.get(key)
    if page is None:
        raise Http404("There is no such page.")
    ids = tuple(request.GET.getlist("id"))
    if len(ids) != words(page.key):
        raise Http404("This page is about something else.")
    try:
        filters = Filters.read(request.GET.dict(), page.options)
    except UnknownFilter as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    return streamed((page.key, filters, ids), lambda: reading(page, filters, ids), page.every_s)


@require_GET
@only(OPERATOR)
def live_quarantine(request: HttpRequest, who: Visitor) -> HttpResponse | StreamingHttpResponse:
    """How many entries match the list's filters now; the list itself stays as it was asked for."""
    try:
        asked = EntryFilter.read(request.GET.dict())
    except UnknownEntryFilter as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    return streamed(
        ("quarantine", asked), lambda: told("quarantine", lambda: quarantine.now(asked)), quarantine.EVERY_S
    )


def streamed(key: Hashable, read: Callable[[], Reading], every_s: float) -> StreamingHttpResponse:
    events = hub.events(key, read, every_s)
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    # The stream lives for minutes and needs no database: give this request's connection back to the pool now.
    connections.close_all()
    return response
