"""Where one can go, by role: the sections on top of every page, and the pages of the section that one is in."""

from dataclasses import dataclass, replace

from dashboard.access import FINANCE, OPERATOR


@dataclass(frozen=True)
class Place:
    """`key` is what a page calls its section or part. `carries`: the shared filters go along. `letter`: g and it lead there."""

    key: str
    label: str
    page: str
    letter: str = ""
    carries: bool = False
    parts: tuple["Place", ...] = ()
    current: bool = False

    @property
    def reached(self) -> tuple["Place", ...]:
        """Itself and its parts, as far as a letter leads there."""
        return tuple(one for one in (self, *self.parts) if one.letter)


FLEET = (
    Place("saturation", "Saturation", "operator-fleet", "s", True),
    Place("gpus", "GPUs", "operator-gpus", "u", True),
    Place("engines", "Engines", "operator-engines", "e", True),
    Place("energy", "Power and energy", "operator-energy", "p", True),
)
INGEST = (
    Place("ingest", "Health", "operator-ingest", "i"),
    Place("quarantine", "Quarantine", "operator-quarantine", "q"),
    Place("leakage", "Leakage", "operator-leakage", "k", True),
)
BILLING = (
    Place("customers", "Customers", "customers", "c"),
    Place("invoices", "Invoices", "invoices", "v"),
    Place("credits", "Credit", "credits"),
    Place("prices", "Prices", "prices"),
    Place("margin", "Margin", "margin", "m"),
    Place("admin", "Back office", "admin:index", "b"),
)
OPERATORS = (
    Place("overview", "Overview", "operator-overview", "o", True),
    Place("fleet", "Fleet", "operator-fleet", "", True, FLEET),
    Place("latency", "Latency", "operator-latency", "l", True),
    Place("tenants", "Tenants", "operator-tenants", "t", True),
    Place("capacity", "Capacity", "operator-capacity", "y", True),
    Place("alerts", "Alerts", "operator-alerts", "a"),
    Place("ingest", "Ingest", "operator-ingest", "", False, INGEST),
    Place("billing", "Billing", "customers", "", False, BILLING),
)
CUSTOMERS = (
    Place("usage", "Usage", "portal"),
    Place("invoices", "Invoices", "portal-invoices"),
    Place("credits", "Credit", "portal-credits"),
    Place("prices", "Prices", "portal-prices"),
)
PLACES = {OPERATOR: OPERATORS, FINANCE: BILLING}


def places(role: str, section: str, part: str) -> tuple[Place, ...]:
    """The top level, and below the current one its parts, with the current ones marked."""
    return tuple(_marked(one, section, part) for one in PLACES.get(role, CUSTOMERS))


def _marked(place: Place, section: str, part: str) -> Place:
    parts = tuple(replace(one, current=one.key in {section, part}) for one in place.parts)
    # A part that is named decides over a section of the same name.
    if any(one.key == part for one in parts):
        parts = tuple(replace(one, current=one.key == part) for one in parts)
    return replace(place, parts=parts, current=place.key == section or any(one.key == section for one in parts))
