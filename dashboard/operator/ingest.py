"""The page that says how ingest is doing. It is there even when a server is down: saying so is what it is for."""

from dashboard.operator.filters import Filters
from dashboard.operator.ingest_findings import findings
from dashboard.operator.ingest_tables import tables
from dashboard.operator.ingest_tiles import tiles
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.shelf import SHELF
from metering.public import ingest_health

EVERY_S = 2.0


def _read(filters: Filters, ids: Ids) -> Shown:
    health = SHELF.kept("ingest", EVERY_S - 0.1, ingest_health)
    hosts, *others = tables(health)
    context = {
        "findings": findings(health),
        "ever": health.ledger is None or bool(health.ledger.hosts),
        "groups": tiles(health),
        "hosts": hosts,
        "tables": others,
    }
    return Shown(health.at, context)


PAGE = Page(
    key="ingest",
    title="Ingest",
    template="operator/ingest.html",
    section="ingest",
    read=_read,
    parts={"findings": "operator/_ingest_findings.html", "figures-of-ingest": "operator/_ingest_figures.html"},
    scope=(),
    ranges=(),
    every_s=EVERY_S,
    compares=False,
)
