"""The page that says how ingest is doing; it asks for itself again every few seconds (refresh.js)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.access import OPERATOR, Visitor, only
from dashboard.operator.ingest_findings import findings
from dashboard.operator.ingest_tables import tables
from dashboard.operator.ingest_tiles import tiles
from metering.public import ingest_health


@require_GET
@only(OPERATOR)
def ingest(request: HttpRequest, who: Visitor) -> HttpResponse:
    """200 even when a server is down: saying so is what the page is for."""
    health = ingest_health()
    hosts, *others = tables(health)
    page = {
        "section": "ingest",
        "at": health.at,
        "findings": findings(health),
        "ever": health.ledger is None or bool(health.ledger.hosts),
        "groups": tiles(health),
        "hosts": hosts,
        "tables": others,
    }
    return render(request, "operator/ingest.html", page)
