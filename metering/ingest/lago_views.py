"""`POST /lago/api/v1/events` and `/batch`: Lago's endpoints for events, with Lago's answers.

The base address of a client is `https://HOST/lago/`. Nothing else of Lago's API is here: every other path below is Lago's 404.
"""

import uuid
from datetime import datetime
from functools import wraps
from http import HTTPStatus
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.ingest import fields
from metering.ingest.checking import Reject
from metering.ingest.decoders import lago
from metering.ingest.pipeline import Exchange, View, answering_problems, take
from metering.ingest.views import MOST_LISTED
from metering.problems import CONTENT_TYPE as PROBLEM

LAGO_IDS = uuid.UUID("2f1f9c9e-6d2c-5f0a-9a53-6a6f0d6f7b11")
# What the rules call it, and what the sender wrote. Other canonical fields are among its properties.
LAGO_NAMES = {
    "id": "transaction_id",
    "tenant": "external_subscription_id",
    "time": "timestamp",
    "type": "code",
    "": "base",
}
KEPT_HEADERS = ("WWW-Authenticate", "Allow", "Accept-Encoding", "Retry-After")


def in_lagos_words(view: View) -> View:
    """Problems become Lago's error objects, which its clients parse; a 429 says in Lago's own header when to come back."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        answer = view(request)
        if answer.headers.get("Content-Type") != PROBLEM:
            return answer
        status, detail = answer.status_code, orjson.loads(answer.content)["detail"]
        kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        if "Retry-After" in kept:
            kept["X-RateLimit-Reset"] = kept["Retry-After"]
        return _error(status, HTTPStatus(status).name.lower(), {"base": [detail]}, kept)

    return wrapped


@csrf_exempt
@in_lagos_words
@answering_problems
def event(request: HttpRequest) -> HttpResponse:
    """One event: `{"event": {...}}`."""
    exchange = take(request, lambda _: lago.SINGLE)
    if rejects := exchange.batch.rejects:
        return _error(422, "validation_errors", _details(rejects[0]))
    return _json({"event": _taken(exchange, orjson.loads(exchange.body)["event"])})


@csrf_exempt
@in_lagos_words
@answering_problems
def batch(request: HttpRequest) -> HttpResponse:
    """Several: `{"events": [...]}`. With rejects it is 422, and the others are taken: sending all of it again is safe."""
    exchange = take(request, lambda _: lago.BATCH)
    if rejects := exchange.batch.rejects:
        return _error(
            422, "validation_errors", {str(reject.index): _details(reject) for reject in rejects[:MOST_LISTED]}
        )
    return _json({"events": [_taken(exchange, sent) for sent in orjson.loads(exchange.body)["events"]]})


@csrf_exempt
def unknown(request: HttpRequest, rest: str) -> HttpResponse:
    detail = (
        f"there is no {rest[:80]!r} here: api/v1/events and api/v1/events/batch are all of Lago's API that is served"
    )
    return _error(404, "not_found", {"base": [detail]})


def _taken(exchange: Exchange, sent: dict[str, Any]) -> dict[str, Any]:
    """The event as Lago shows it. Its `lago_id` follows from its identity, so that a repetition gets the same."""
    event = lago.read(sent)
    tenant, arrival = exchange.credential.tenant or event["tenant"], exchange.accepted.ingested_at
    return {
        "lago_id": str(uuid.uuid5(LAGO_IDS, f"{tenant}/{event['id']}")),
        "transaction_id": event["id"],
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": tenant,
        "code": sent["code"],
        "timestamp": _iso(arrival if event.get("time") is None else fields.time(event["time"])),
        "precise_total_amount_cents": sent.get(lago.AMOUNT),
        "properties": sent.get("properties") or {},
        "created_at": _iso(arrival),
    }


def _details(reject: Reject) -> dict[str, list[str]]:
    """The sender's name of the field -> what is wrong with it."""
    name = LAGO_NAMES.get(reject.field, reject.field)
    if name in fields.FIELDS:
        name = f"properties.{name}"
    elif name.startswith("data."):
        name = f"properties.{name.removeprefix('data.')}"
    return {name: [reject.message]}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, code: str, details: dict[str, Any], headers: dict[str, str] | None = None) -> HttpResponse:
    body = {"status": status, "error": HTTPStatus(status).phrase, "code": code, "error_details": details}
    return _json(body, status, headers)


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json", headers=headers)
