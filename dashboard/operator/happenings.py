"""What happened while a chart ran: deploys, maintenance, notes and alerts, drawn on every chart over time and listed below them.

The only place where the operator's pages ask for annotations.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.operator.filters import Filters
from dashboard.operator.shelf import SHELF
from metering.public import AnnotationInfo, annotations

FRESH_S = 4.9
MOST = 60  # a chart with more marks than this shows nothing but marks
SAFE_LINKS = ("/", "https://", "http://")


@dataclass(frozen=True)
class Happening:
    """`until` None: a moment, or not over yet if `lasting`. `where`: the part of the service that it concerns, '' for all of it."""

    at: datetime
    until: datetime | None
    lasting: bool
    kind: str
    text: str
    where: str
    link: str


def happenings(filters: Filters) -> tuple[Happening, ...]:
    """Of the window and the part of the service that the filters choose, newest first."""
    key = ("happenings", filters.range, filters.start, filters.end)
    found = SHELF.kept(key, FRESH_S, lambda: _read(filters))
    return tuple(_happening(one) for one in found if _concerns(one, filters))[:MOST]


def _read(filters: Filters) -> list[AnnotationInfo]:
    window = filters.window(datetime.now(UTC))
    return sorted(annotations(window.start, window.end), key=lambda one: one.at, reverse=True)


def _concerns(one: AnnotationInfo, filters: Filters) -> bool:
    """Unless it is about another part than the one that is shown."""
    pairs = ((one.model, filters.model), (one.region, filters.region), (one.cluster, filters.cluster))
    return all(not of or not shown or of == shown for of, shown in pairs)


def _happening(one: AnnotationInfo) -> Happening:
    where = ", ".join(name for name in (one.model, one.region, one.cluster) if name)
    link = one.link if one.link.startswith(SAFE_LINKS) else ""
    return Happening(one.at, one.until, one.lasting, one.kind, one.text, where, link)
