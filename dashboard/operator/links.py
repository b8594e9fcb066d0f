"""Where a tile or a finding leads: the page that shows it, with the filters carried along."""

from django.urls import NoReverseMatch, reverse

from dashboard.operator.filters import Filters

# The page by what it shows, and what it is called in a sentence.
PLACES: dict[str, tuple[str, str]] = {
    "saturation": ("operator-fleet", "Saturation"),
    "engines": ("operator-engines", "Engines and models"),
    "gpus": ("operator-gpus", "GPUs"),
    "latency": ("operator-latency", "Latency"),
    "tenants": ("operator-tenants", "Tenants"),
    "power": ("operator-energy", "Power and energy"),
    "ingest": ("operator-ingest", "Ingest"),
    "margin": ("margin", "Margin"),
}
WITHOUT_FILTERS = {"ingest", "margin"}
Narrow = tuple[tuple[str, str], ...]


def label(place: str) -> str:
    return PLACES[place][1]


def address(place: str, filters: Filters, narrow: Narrow = ()) -> str:
    """With the range and the shared filters, and `narrow` on top of them. A customer's page where one is named. '' of ''."""
    if not place:
        return ""
    named = dict(narrow)
    if place == "tenants" and (own := _of_tenant(named.get("tenant", ""))):
        return _with_query(own, filters, tuple(pair for pair in narrow if pair[0] != "tenant"))
    if place in WITHOUT_FILTERS:
        return reverse(PLACES[place][0])
    return _with_query(reverse(PLACES[place][0]), filters, narrow)


def _with_query(path: str, filters: Filters, narrow: Narrow) -> str:
    for name, value in narrow:
        filters = filters.narrowed(name, value)
    query = filters.carried()
    return f"{path}{'?' if query else ''}{query}"


def _of_tenant(key: str) -> str:
    try:
        return reverse("operator-tenant", args=[key])
    except NoReverseMatch:  # a key that no path can hold: the page of all, narrowed to it, does
        return ""
