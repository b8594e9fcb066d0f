"""The road of samples: as that of events (pipeline.py), with rules of their own (telemetry_checking.py) and operators' keys only."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from metering.contracts import RejectReason
from metering.ingest import announce, counters, limiter, local, telemetry_limits
from metering.ingest.checking import Reject, rejects_table
from metering.ingest.context import Context
from metering.ingest.decoders.common import Undecodable
from metering.ingest.decoders.telemetry import Read, for_telemetry
from metering.ingest.pipeline import Received, authenticate_operator, check_method, check_rate, read_body
from metering.ingest.spool import Accepted
from metering.ingest.telemetry_checking import SampleBatch, check
from metering.ingest.telemetry_records import DECODER_NAME


@dataclass
class TelemetryExchange(Received):
    """One request on its way through the steps below."""

    what: ClassVar[str] = "samples"

    read: Read = field(init=False)
    batch: SampleBatch = field(init=False)
    accepted: Accepted = field(init=False)


def choose_decoder(exchange: TelemetryExchange) -> None:
    exchange.read = for_telemetry(exchange.request)


def decode_and_check(exchange: TelemetryExchange) -> None:
    context = Context(exchange.credential, timezone.now(), settings.INGEST_MAX_AGE, settings.INGEST_MAX_FUTURE)
    try:
        exchange.batch = check(exchange.read(exchange.body, settings.INGEST_MAX_EVENTS), context)
    except Undecodable as error:
        reject = Reject(0, "", RejectReason.MALFORMED, str(error), raw=exchange.body)
        exchange.batch = SampleBatch(exchange.credential.prefix, lambda _: exchange.body, rejects=[reject])
        spool(exchange)
        raise
    if not exchange.batch.accepted and not exchange.batch.rejects:
        raise Undecodable("the body holds no samples")


def charge(exchange: TelemetryExchange) -> None:
    """A sample counts as an event."""
    limiter.charge(exchange.credential, exchange.batch.accepted + len(exchange.batch.rejects))


def limit_series(exchange: TelemetryExchange) -> None:
    telemetry_limits.limit(exchange.batch, exchange.credential)


def spool(exchange: TelemetryExchange) -> None:
    batch, credential = exchange.batch, exchange.credential
    tables = batch.tables() | {"rejects": rejects_table(batch.rejects, credential, DECODER_NAME)}
    exchange.accepted = local.spool().accept_all(tables, lane=credential.prefix)
    reasons = Counter(reject.reason.value for reject in batch.rejects)
    counters.requests_taken(DECODER_NAME, batch.accepted, reasons, time.monotonic() - exchange.started)


PIPELINE: tuple[Callable[[TelemetryExchange], None], ...] = (
    check_method,
    authenticate_operator,
    choose_decoder,
    check_rate,
    read_body,
    decode_and_check,
    charge,
    limit_series,
    spool,
)


def take(request: HttpRequest) -> TelemetryExchange:
    """Carry a request through every step; all valid samples are on disk when this returns.

    Raises what `pipeline.answering_problems` turns into an answer.
    """
    exchange = TelemetryExchange(request)
    for step in PIPELINE:
        step(exchange)
    announce.ready()
    return exchange
