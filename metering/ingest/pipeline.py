"""The road that every event takes, whatever its protocol: authenticate, read, decode, check, spool. Refusals become answers here.

Nothing is answered 2xx that is not on disk.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import ClassVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from metering import keys
from metering.contracts import Credential, RejectReason, Scope
from metering.ingest import announce, bodies, counters, limiter, local
from metering.ingest.capacity import SpoolFull
from metering.ingest.checking import Batch, Context, Reject, check, check_columns, rejects_table
from metering.ingest.decoders.common import Decoder, TooManyEvents, Undecodable, UnknownContentType
from metering.ingest.spool import Accepted
from metering.problems import problem

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]


@dataclass
class Received:
    """A request, its sender and its body, whatever it holds; `what` it is called."""

    what: ClassVar[str] = "events"

    request: HttpRequest
    credential: Credential = field(init=False)
    started: float = field(default_factory=time.monotonic, kw_only=True)
    body: bytes = field(default=b"", kw_only=True)


@dataclass
class Exchange(Received):
    """One request on its way through the steps below. `choose` finds the decoder, or raises UnknownContentType."""

    choose: Callable[[HttpRequest], Decoder]
    decoder: Decoder = field(init=False)
    batch: Batch = field(init=False)
    accepted: Accepted = field(init=False)


def check_method(exchange: Received) -> None:
    if exchange.request.method != "POST":
        raise MethodNotAllowed(f"{exchange.what} are sent by POST")


def authenticate(exchange: Received) -> None:
    exchange.credential = keys.authenticate(exchange.request.headers.get("Authorization"))
    keys.require(exchange.credential, Scope.INGEST)


def authenticate_operator(exchange: Received) -> None:
    """For what says how the whole fleet does: nothing in it is a tenant's."""
    authenticate(exchange)
    if exchange.credential.tenant is not None:
        raise keys.PermissionRefused(f"{exchange.what} are taken from an operator's key only")


def choose_decoder(exchange: Exchange) -> None:
    exchange.decoder = exchange.choose(exchange.request)


def read_body(exchange: Received) -> None:
    exchange.body = bodies.read(exchange.request, settings.INGEST_MAX_BODY_BYTES, settings.INGEST_MAX_INFLATED_BYTES)


def check_rate(exchange: Received) -> None:
    """Before the body is decoded: a sender that is over its limit costs next to nothing."""
    limiter.charge(exchange.credential, 0)


def charge(exchange: Exchange) -> None:
    limiter.charge(exchange.credential, exchange.batch.accepted + len(exchange.batch.rejects))


def decode_and_check(exchange: Exchange) -> None:
    context = Context(
        credential=exchange.credential,
        now=timezone.now(),
        max_age=settings.INGEST_MAX_AGE,
        max_future=settings.INGEST_MAX_FUTURE,
    )
    try:
        exchange.batch = _checked(exchange.decoder, exchange.body, context)
    except Undecodable as error:
        exchange.batch = Batch(rejects=[Reject(0, "", RejectReason.MALFORMED, str(error), raw=exchange.body)])
        spool(exchange)
        raise
    if not exchange.batch.accepted and not exchange.batch.rejects:
        raise Undecodable("the body holds no events")


def _checked(decoder: Decoder, body: bytes, context: Context) -> Batch:
    """By the fast road if the protocol has one and the body fits it, else event by event: the outcome is the same."""
    found = decoder.columns(body, settings.INGEST_MAX_EVENTS) if decoder.columns else None
    if found is not None:
        return check_columns(found, context)
    return check(decoder.decode(body, settings.INGEST_MAX_EVENTS), context)


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
    batch, credential = exchange.batch, exchange.credential
    rejects = rejects_table(batch.rejects, credential, exchange.decoder.name)
    exchange.accepted = local.spool().accept_all(batch.tables() | {"rejects": rejects}, lane=credential.prefix)
    reasons = Counter(reject.reason.value for reject in batch.rejects)
    counters.requests_taken(exchange.decoder.name, batch.accepted, reasons, time.monotonic() - exchange.started)


PIPELINE: tuple[Callable[[Exchange], None], ...] = (
    check_method,
    authenticate,
    choose_decoder,
    check_rate,
    read_body,
    decode_and_check,
    charge,
    refuse_foreign_tenants,
    spool,
)


class MethodNotAllowed(ValueError):
    """405."""


def answering_problems(view: View) -> View:
    """Every refusal has one place where it becomes an answer."""
    answers: tuple[tuple[type[Exception], int, dict[str, str]], ...] = (
        (keys.AuthenticationFailed, 401, {"WWW-Authenticate": 'Bearer realm="tallywatt"'}),
        (keys.PermissionRefused, 403, {}),
        (MethodNotAllowed, 405, {"Allow": "POST"}),
        (UnknownContentType, 415, {}),
        (bodies.UnknownEncoding, 415, {"Accept-Encoding": "gzip, zstd"}),
        (bodies.BodyTooLarge, 413, {}),
        (bodies.BrokenEncoding, 400, {}),
        (Undecodable, 400, {}),
        (TooManyEvents, 422, {}),
        (limiter.RateLimited, 429, {}),
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
            counters.refused(status)
            if status == 503:
                logger.warning("nothing was taken: %s: %s", type(error).__name__, error)
            if isinstance(error, limiter.RateLimited):
                headers = {"Retry-After": str(error.retry_after_s)}
            detail = "nothing was taken; try again" if status == 503 else str(error)
            return problem(status, detail, headers=headers)

    wrapped.takes_events = True  # type: ignore[attr-defined]  # asgi.py answers it without Django's middleware
    return wrapped


def take(request: HttpRequest, choose: Callable[[HttpRequest], Decoder]) -> Exchange:
    """Carry a request through every step; all that is valid in it is on disk when this returns.

    Raises what `answering_problems` turns into an answer: wrap the view in it.
    """
    exchange = Exchange(request, choose)
    for step in PIPELINE:
        step(exchange)
    announce.ready()
    return exchange
