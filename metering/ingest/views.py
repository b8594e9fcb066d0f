"""`POST /api/v1/events`: authenticate, read, decode, check, spool, answer. Nothing is answered 2xx that is not on disk."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from metering import keys
from metering.contracts import Credential, RejectReason, Scope
from metering.ingest import announce, bodies, local
from metering.ingest.checking import Batch, Context, Reject, check
from metering.ingest.decoders import BY_CONTENT_TYPE, Decoder, Undecodable
from metering.ingest.decoders.common import TooManyEvents
from metering.ingest.spool import Accepted, SpoolFull
from metering.models import Tenant
from metering.problems import problem

logger = logging.getLogger(__name__)

MOST_LISTED = 1000  # rejects named in one answer; all of them are in quarantine


@dataclass
class Exchange:
    """One request on its way through the steps below."""

    request: HttpRequest
    credential: Credential = field(init=False)
    decoder: Decoder = field(init=False)
    body: bytes = b""
    batch: Batch = field(init=False)
    accepted: Accepted = field(init=False)


def authenticate(exchange: Exchange) -> None:
    exchange.credential = keys.authenticate(exchange.request.headers.get("Authorization"))
    keys.require(exchange.credential, Scope.INGEST)


def choose_decoder(exchange: Exchange) -> None:
    kind = (exchange.request.content_type or "").lower()
    decoder = BY_CONTENT_TYPE.get(kind)
    if decoder is None:
        raise UnknownContentType(f"Content-Type {kind[:80]!r} is not taken: one of {', '.join(BY_CONTENT_TYPE)}")
    exchange.decoder = decoder


def read_body(exchange: Exchange) -> None:
    exchange.body = bodies.read(exchange.request, settings.INGEST_MAX_BODY_BYTES, settings.INGEST_MAX_INFLATED_BYTES)


def decode_and_check(exchange: Exchange) -> None:
    context = Context(
        credential=exchange.credential,
        tenants=_tenants(exchange.credential),
        now=timezone.now(),
        max_age=settings.INGEST_MAX_AGE,
        max_future=settings.INGEST_MAX_FUTURE,
    )
    try:
        exchange.batch = check(exchange.decoder.decode(exchange.body, settings.INGEST_MAX_EVENTS), context)
    except Undecodable as error:
        exchange.batch = Batch(rejects=[Reject(0, "", RejectReason.MALFORMED, str(error), raw=exchange.body)])
        spool(exchange)
        raise
    if not exchange.batch.accepted and not exchange.batch.rejects:
        raise Undecodable("the body holds no events")


def refuse_foreign_tenants(exchange: Exchange) -> None:
    """A single-tenant key that names another tenant takes nothing along, not even its valid events."""
    foreign = exchange.batch.foreign
    if foreign is not None:
        exchange.batch = _all_refused(exchange)
        spool(exchange)
        raise keys.PermissionRefused(f"event {foreign.index}: {foreign.message}; nothing of this request was taken")


def _all_refused(exchange: Exchange) -> Batch:
    """Every event of the request as a reject: what came along with a foreign one is kept too."""
    found = {reject.index: reject for reject in exchange.batch.rejects}
    for decoded in exchange.decoder.decode(exchange.body, settings.INGEST_MAX_EVENTS):
        if decoded.index not in found:
            found[decoded.index] = Reject(
                decoded.index,
                "tenant",
                RejectReason.FOREIGN_TENANT,
                "came with an event of another tenant",
                raw=decoded.raw,
            )
    return Batch(rejects=[found[index] for index in sorted(found)])


def spool(exchange: Exchange) -> None:
    exchange.accepted = local.spool().accept(
        exchange.batch.events_table(), exchange.batch.rejects_table(exchange.credential, exchange.decoder.name)
    )


def check_method(exchange: Exchange) -> None:
    if exchange.request.method != "POST":
        raise MethodNotAllowed("events are sent by POST")


PIPELINE: tuple[Callable[[Exchange], None], ...] = (
    check_method,
    authenticate,
    choose_decoder,
    read_body,
    decode_and_check,
    refuse_foreign_tenants,
    spool,
)


class MethodNotAllowed(ValueError):
    """405."""


class UnknownContentType(ValueError):
    """415."""


def _answering_problems(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Every refusal has one place where it becomes an answer."""
    answers: tuple[tuple[type[Exception], int, dict[str, str]], ...] = (
        (keys.AuthenticationFailed, 401, {"WWW-Authenticate": 'Bearer realm="tallywatt"'}),
        (keys.PermissionRefused, 403, {}),
        (MethodNotAllowed, 405, {"Allow": "POST"}),
        (UnknownContentType, 415, {}),
        (bodies.UnknownEncoding, 415, {"Accept-Encoding": "gzip"}),
        (bodies.BodyTooLarge, 413, {}),
        (bodies.BrokenEncoding, 400, {}),
        (Undecodable, 400, {}),
        (TooManyEvents, 422, {}),
        (SpoolFull, 429, {"Retry-After": "5"}),
        (OperationalError, 503, {"Retry-After": "2"}),
        (InterfaceError, 503, {"Retry-After": "2"}),  # a connection that died while it was idle
        (OSError, 503, {"Retry-After": "5"}),
    )

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except tuple(kind for kind, _, _ in answers) as error:
            status, headers = next((status, headers) for kind, status, headers in answers if isinstance(error, kind))
            if status == 503:
                logger.warning("nothing was taken: %s: %s", type(error).__name__, error)
            detail = "nothing was taken; try again" if status == 503 else str(error)
            return problem(status, detail, headers=headers)

    return wrapped


@csrf_exempt
@_answering_problems
def events(request: HttpRequest) -> HttpResponse:
    """204 or 202 once every valid event is on disk; see DESIGN for the answers by protocol."""
    exchange = Exchange(request)
    for step in PIPELINE:
        step(exchange)
    announce.ready()
    return _receipt(exchange) if exchange.decoder.receipt else _silent_answer(exchange)


def _receipt(exchange: Exchange) -> HttpResponse:
    batch = exchange.batch
    return JsonResponse(
        {"batch": exchange.accepted.batch, "accepted": batch.accepted, "rejected": _listed(batch)}, status=202
    )


def _silent_answer(exchange: Exchange) -> HttpResponse:
    """204, which is what CloudEvents clients expect; invalid events are told by a 400, and resending all is safe."""
    batch = exchange.batch
    if not batch.rejects:
        return HttpResponse(status=204)
    first = batch.rejects[0]
    return problem(
        400,
        f"{len(batch.rejects)} of {batch.accepted + len(batch.rejects)} events were not taken; event {first.index}: {first.message}",
        batch=exchange.accepted.batch,
        accepted=batch.accepted,
        rejected=_listed(batch),
    )


def _listed(batch: Batch) -> list[dict[str, object]]:
    return [reject.as_json() for reject in batch.rejects[:MOST_LISTED]]


def _tenants(credential: Credential) -> frozenset[str]:
    """Only an operator's key may name tenants, so only then are they looked up."""
    if credential.tenant is not None:
        return frozenset()
    return frozenset(Tenant.objects.values_list("key", flat=True))
