"""What a page of the operator is, and how one is served: first as HTML with its charts, then as a stream of what has changed.

A page is a template and one function that reads all it shows. `dashboard/operator/registry.py` lists them.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.views.decorators.http import require_GET

from dashboard import trouble
from dashboard.access import OPERATOR, Visitor, only
from dashboard.figures import Figure
from dashboard.operator.choices import chosen, offered
from dashboard.operator.feed import Reading
from dashboard.operator.filters import RANGES, SCOPE, Filters, Option, UnknownFilter, checked
from dashboard.operator.frame_parts import frame_now, frame_parts
from dashboard.operator.happenings import happenings

logger = logging.getLogger(__name__)
Ids = tuple[str, ...]
HAPPENINGS = "operator/_happenings.html"


class NotThere(LookupError):
    """The page is about something that there is not: 404. The message says so."""


@dataclass(frozen=True)
class Shown:
    """A page's reading: what its templates need, and its charts by the id of their place. Of `live`, only parts and charts are sent."""

    at: datetime
    context: Mapping[str, Any]
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """`read` takes the filters and the ids from the path. `glance`: the same without what takes longer than a page may; what it leaves
    out comes by the stream. `parts`: templates of what is kept live, by the id of the element they fill. `scope`: the shared filters
    that this page heeds; the others are carried along. `ranges`: those it offers, shortest first; none if it has no range of time.
    What was chosen elsewhere and is not among them becomes the next longer one. `every_s`: how often a reading is taken while
    somebody watches.
    """

    key: str
    title: str
    template: str
    section: str
    read: Callable[[Filters, Ids], Shown]
    parts: Mapping[str, str]
    part: str = ""
    options: tuple[Option, ...] = ()
    scope: tuple[str, ...] = SCOPE
    ranges: tuple[str, ...] = tuple(RANGES)
    every_s: float = 1.0
    compares: bool = True
    glance: Callable[[Filters, Ids], Shown] | None = None


def view(page: Page) -> Callable[..., HttpResponseBase]:
    """The page as a view; words in its path are the ids."""

    @require_GET
    @only(OPERATOR)
    def shown(request: HttpRequest, who: Visitor, /, **ids: str) -> HttpResponse:
        try:
            filters = Filters.read(request.GET.dict(), page.options)
        except UnknownFilter as error:
            return trouble.not_understood(request, error)
        path = tuple(ids.values())
        context = frame(page, filters, path) | {"at": datetime.now(UTC), "here": request.path}
        context |= {"choices": chosen(filters)}
        try:
            _named(path)
            found = (page.glance or page.read)(fitted(page, filters), path)
            context |= {"choices": offered(filters, page.scope), **_context(page, filters, found)}
        except NotThere as error:
            return render(request, "404.html", {"reason": str(error)}, status=404)
        except trouble.UNREADABLE as error:
            return trouble.unreadable(request, page.template, context, error)
        response = render(request, page.template, context)
        if request.headers.get("HX-Request"):  # the address as short as it can be, instead of a form's every field
            response.headers["HX-Push-Url"] = f"{request.path}?{filters.query()}".rstrip("?")
        return response

    shown.key = page.key  # type: ignore[attr-defined]
    return shown


@cache
def words(key: str) -> int:
    """How many ids there are in the path of the page of this key."""
    found = [one for one in _patterns(get_resolver()) if getattr(one.callback, "key", None) == key]
    return len(found[0].pattern.converters) if found else 0


def _patterns(resolver: URLResolver) -> list[URLPattern]:
    found: list[URLPattern] = []
    for one in resolver.url_patterns:
        found += _patterns(one) if isinstance(one, URLResolver) else [one]
    return found


def _named(ids: Ids) -> None:
    """Raises NotThere for what cannot be anything's name."""
    try:
        for one in ids:
            checked("thing", one)
    except UnknownFilter as error:
        raise NotThere(str(error)) from None


def fitted(page: Page, filters: Filters) -> Filters:
    """With a range that the page offers, if it offers any."""
    return filters.fitted(page.ranges) if page.ranges else filters


def _context(page: Page, filters: Filters, found: Shown) -> dict[str, Any]:
    """Of a reading. What happened in the window is on every page that has one."""
    marks = happenings(fitted(page, filters)) if page.ranges else ()
    return {"happenings": marks, **found.context, "at": found.at, "figures": dict(found.figures)}


def frame(page: Page, filters: Filters, ids: Ids) -> dict[str, Any]:
    """Variables of operator/_page.html that do not depend on any reading."""
    query = urlencode([("id", one) for one in ids])
    stream = reverse("operator-live", args=[page.key])
    return {
        "page": page,
        "section": page.section,
        "part": page.part or page.key,
        "filters": fitted(page, filters),
        "ranges": {key: RANGES[key] for key in page.ranges},
        "options": {one.name: filters.option(one) for one in page.options},
        "own_options": [(one, filters.option(one)) for one in page.options],
        "has_filters": bool(page.scope or page.ranges or any(one.choices for one in page.options)),
        "carried": filters.carried(),
        "cleared": filters.cleared(page.scope),
        "stream": f"{stream}?{'&'.join(part for part in (query, filters.query()) if part)}",
    }


def reading(page: Page, filters: Filters, ids: Ids) -> Reading:
    """One reading for the stream."""

    def read() -> Reading:
        found = page.read(fitted(page, filters), ids)
        context = frame(page, filters, ids) | _context(page, filters, found) | frame_now()
        parts = {**page.parts, **frame_parts()} | ({"happenings": HAPPENINGS} if page.ranges else {})
        html = {place: render_to_string(template, context) for place, template in parts.items()}
        return Reading(found.at, html, dict(found.figures))

    return told(page.key, read)


def told(key: str, read: Callable[[], Reading]) -> Reading:
    """Never raises: a failure is a reading as well."""
    try:
        return read()
    except NotThere as error:
        return Reading(datetime.now(UTC), trouble=str(error))
    except trouble.UNREADABLE as error:
        logger.warning("the live feed of %s cannot be read: %s", key, error)
        return Reading(datetime.now(UTC), trouble=trouble.explained_live(error))
    except Exception:
        # Whatever it is, listeners are told and the feed goes on; the trace is for the operator's log.
        logger.exception("the live feed of %s failed", key)
        return Reading(datetime.now(UTC), trouble="The figures cannot be read. The server's log has the reason.")
    finally:
        connections.close_all()  # this thread belongs to a pool and no request would ever close it
