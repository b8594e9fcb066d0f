"""Finding a customer, model, node, GPU, engine or page by the beginning of its name, or by a part of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dashboard import trouble
from dashboard.access import OPERATOR, Visitor, only
from dashboard.navigation import OPERATORS
from dashboard.operator.choices import LOOKED_BACK
from dashboard.operator.shelf import SHELF
from metering.public import fleet_engines, fleet_gpus, names_seen, tenants_found

MOST = 20
LONGEST = 200
NAMES_FRESH_S = 30.0
PAGE, FRAGMENT, SUGGESTIONS = "operator/search.html", "operator/_found.html", "operator/_suggestions.html"


@dataclass(frozen=True)
class Found:
    """`note`: what tells it from others of the same name, and is looked through as well."""

    kind: str
    name: str
    note: str
    link: str


Names = tuple[Found, ...]


@require_GET
@only(OPERATOR)
def search(request: HttpRequest, who: Visitor) -> HttpResponse:
    """A page; a list alone for the field in the header; customers as options for a filter's field (`as=options`)."""
    text = request.GET.get("q", "").strip()[:LONGEST].replace("\x00", "")
    options = request.GET.get("as") == "options"
    template = SUGGESTIONS if options else FRAGMENT if request.headers.get("HX-Request") else PAGE
    page = {"section": "search", "text": text}
    try:
        if options:
            return render(request, template, page | {"customers": tenants_found(text, MOST)})
        return render(request, template, page | {"groups": grouped(found(text))})
    except trouble.UNREADABLE as error:
        return trouble.unreadable(request, template, page, error)


def found(text: str) -> list[Found]:
    """The best of all kinds, none of which crowds out the others: what begins with `text`, then what holds it. Nothing for ''."""
    if not text:
        return []
    sought = text.casefold()
    kinds = [[_customer(one.key, one.name) for one in tenants_found(text, MOST)]]
    kinds += [_matching(names, sought) for names in (_pages(), *_seen().values())]
    ranked = [
        (_rank(one, sought), place, order, one) for order, kind in enumerate(kinds) for place, one in enumerate(kind)
    ]
    return [one for *_, one in sorted(ranked, key=lambda entry: entry[:3])[:MOST]]


def grouped(names: Iterable[Found]) -> dict[str, list[Found]]:
    """By kind; the kind of the best comes first."""
    groups: dict[str, list[Found]] = {}
    for one in names:
        groups.setdefault(one.kind, []).append(one)
    return groups


def _matching(names: Iterable[Found], sought: str) -> list[Found]:
    held = [one for one in names if sought in one.name.casefold() or sought in one.note.casefold()]
    return sorted(held, key=lambda one: _rank(one, sought))[:MOST]


def _rank(one: Found, sought: str) -> int:
    name = one.name.casefold()
    return 0 if name == sought else 1 if name.startswith(sought) or one.note.casefold().startswith(sought) else 2


def _seen() -> dict[str, Names]:
    """What requests and telemetry have named lately."""
    return SHELF.kept("search", NAMES_FRESH_S, lambda: {name: tuple(read()) for name, read in READERS.items()})


def _models() -> Iterable[Found]:
    for name in names_seen("model", datetime.now(UTC) - LOOKED_BACK):
        yield Found("Models", name, "", _address("operator-overview", model=name))


def _nodes_and_gpus() -> Iterable[Found]:
    gpus = [one for one in fleet_gpus(datetime.now(UTC)) if not one.mig]
    for node in dict.fromkeys(one.node for one in gpus):
        yield Found("Nodes", node, "", _address("operator-gpus", node=node))
    for one in gpus:
        index = "" if one.index is None else f" {one.index}"
        yield Found("GPUs", one.gpu, f"{one.node} GPU{index}, {one.name}", _address("operator-gpu", one.node, one.gpu))


def _engines() -> Iterable[Found]:
    for one in fleet_engines(datetime.now(UTC)):
        yield Found(
            "Engines", one.engine, f"{one.model} on {one.node}", _address("operator-engine", one.node, one.engine)
        )


READERS: dict[str, Callable[[], Iterable[Found]]] = {
    "models": _models,
    "gpus": _nodes_and_gpus,
    "engines": _engines,
}


def _pages() -> Names:
    return tuple(
        Found("Pages", one.label, "" if one.label == top.label else top.label, reverse(one.page))
        for top in OPERATORS
        for one in (top.parts or (top,))
    )


def _customer(key: str, name: str) -> Found:
    return Found("Customers", name, key if key != name else "", _address("operator-tenant", key))


def _address(page: str, *ids: str, **query: str) -> str:
    return reverse(page, args=ids) + (f"?{urlencode(query)}" if query else "")
