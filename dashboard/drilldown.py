"""From a line of an invoice to the hours and requests that it is made of, and the proof that a request is billed by an invoice."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from billing.contracts import InvoiceDetail, InvoiceLineInfo
from billing.public import NotUsage, ProofRefused, invoice, line_hours, line_requests, proof_document
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, only, own_tenant
from dashboard.formats import decimals
from dashboard.invoices_shown import lines_shown

PAGE = 100
LONGEST = 128  # of an id or a source, as ingest takes them


@dataclass(frozen=True)
class Place:
    """Whose pages these are: their addresses, and whose invoices may be asked for (None: anybody's)."""

    prefix: str
    tenant: str | None

    def url(self, name: str, *words: Any) -> str:
        return reverse(f"{self.prefix}{name}", args=words)


@require_GET
@only(OPERATOR, FINANCE)
def any_line(request: HttpRequest, who: Visitor, number: str, line: int) -> HttpResponse:
    return _line(request, Place("", None), number, line)


@require_GET
@only(CUSTOMER)
def own_line(request: HttpRequest, who: Visitor, number: str, line: int) -> HttpResponse:
    return _line(request, _own(who), number, line)


@require_GET
@only(OPERATOR, FINANCE)
def any_proof(request: HttpRequest, who: Visitor, number: str) -> HttpResponse:
    return _proof(request, Place("", None), number)


@require_GET
@only(CUSTOMER)
def own_proof(request: HttpRequest, who: Visitor, number: str) -> HttpResponse:
    return _proof(request, _own(who), number)


def _own(who: Visitor) -> Place:
    return Place("portal-", own_tenant(who))


def _line(request: HttpRequest, place: Place, number: str, position: int) -> HttpResponse:
    found, line = _found(place, number, position)
    hour = _hour(request.GET.get("hour"))
    context = {
        "section": "invoices",
        "invoice": found,
        "row": lines_shown([line])[0],
        "currency": found.summary.currency,
        "places": max(decimals(line.amount_exact), 2),
        "back": place.url("invoice", number),
        "hours_url": place.url("invoice-line", number, position),
        "proof_url": place.url("invoice-proof", number),
        "hour": hour,
    }
    try:
        if hour is None:
            context["hours"] = line_hours(number, position, place.tenant)
            return render(request, "invoices/line_hours.html", context)
        after = _position(request.GET.get("after"))
        page = line_requests(number, position, place.tenant, hour=hour, after=after, limit=PAGE)
    except NotUsage as error:
        return render(request, "invoices/line_hours.html", context | {"reason": str(error)})
    following = json.dumps([page.after[0].isoformat(), *page.after[1:]]) if page.after else ""
    return render(request, "invoices/line_requests.html", context | {"page": page, "following": following})


def _invoice(place: Place, number: str) -> InvoiceDetail:
    found = invoice(number, place.tenant)
    if found is None:
        raise Http404(f"there is no invoice {number!r}")
    return found


def _found(place: Place, number: str, position: int) -> tuple[InvoiceDetail, InvoiceLineInfo]:
    found = _invoice(place, number)
    line = next((each for each in found.lines if each.position == position), None)
    if line is None:
        raise Http404(f"invoice {number} has no line {position}")
    return found, line


def _hour(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Http404(f"{text[:40]!r} is no hour") from None


def _position(text: str | None) -> tuple[datetime, str, str] | None:
    """Where a page ended, as its link says."""
    if text is None:
        return None
    try:
        at, source, name = json.loads(text)
        return datetime.fromisoformat(at), str(source), str(name)
    except (ValueError, TypeError):
        raise Http404("no place in the list") from None


def _proof(request: HttpRequest, place: Place, number: str) -> HttpResponse:
    found = _invoice(place, number)
    named = request.GET.get("request_id", "")[:LONGEST].strip()
    source = request.GET.get("source", "")[:LONGEST].strip()
    context: dict[str, Any] = {
        "section": "invoices",
        "invoice": found,
        "request_id": named,
        "source": source,
        "back": place.url("invoice", number),
    }
    if not named:
        return render(request, "invoices/proof.html", context)
    try:
        document = proof_document(number, named, source, tenant=place.tenant)
    except ProofRefused as error:
        return render(request, "invoices/proof.html", context | {"reason": str(error)}, status=404)
    text = json.dumps(document, indent=1)
    if request.GET.get("download"):
        headers = {"Content-Disposition": f'attachment; filename="proof-{number}.json"'}
        return HttpResponse(text, content_type="application/json", headers=headers)
    return render(request, "invoices/proof.html", context | {"document": document})
