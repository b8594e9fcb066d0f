"""The road of data points: as that of events (pipeline.py), with rules of their own and operators' keys only.

A tenant's key may not send metrics: they say what the whole fleet does, and nothing in them is a tenant's.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from metering.contracts import RejectReason
from metering.ingest import announce, counters, limiter, local
from metering.ingest.checking import Reject, rejects_table
from metering.ingest.decoders import otlp_metrics
from metering.ingest.decoders.common import Undecodable
from metering.ingest.decoders.otlp_common import speaks_json
from metering.ingest.decoders.otlp_metrics import Points
from metering.ingest.decoders.otlp_points import Window
from metering.ingest.pipeline import Received, authenticate_operator, check_method, check_rate, read_body
from metering.moments import microseconds


@dataclass
class PointsExchange(Received):
    """One request on its way through the steps below."""

    what: ClassVar[str] = "metrics"

    is_json: bool = False
    points: Points = field(init=False)


def choose_encoding(exchange: PointsExchange) -> None:
    exchange.is_json = speaks_json(exchange.request)


def charge(exchange: PointsExchange) -> None:
    """A data point counts as an event."""
    limiter.charge(exchange.credential, exchange.points.taken + len(exchange.points.rejects))


def decode_and_check(exchange: PointsExchange) -> None:
    prefix = exchange.credential.prefix
    try:
        exchange.points = otlp_metrics.read(
            exchange.body, settings.INGEST_MAX_EVENTS, _window(), prefix, is_json=exchange.is_json
        )
    except Undecodable as error:
        exchange.points = Points(rejects=[Reject(0, "", RejectReason.MALFORMED, str(error), raw=exchange.body)])
        spool(exchange)
        raise


def spool(exchange: PointsExchange) -> None:
    rejects = rejects_table(exchange.points.rejects, exchange.credential, otlp_metrics.NAME)
    tables = {"points": exchange.points.table(), "rejects": rejects}
    local.spool().accept_all(tables, lane=exchange.credential.prefix)
    reasons = Counter(reject.reason.value for reject in exchange.points.rejects)
    counters.requests_taken(otlp_metrics.NAME, exchange.points.taken, reasons, time.monotonic() - exchange.started)


PIPELINE: tuple[Callable[[PointsExchange], None], ...] = (
    check_method,
    authenticate_operator,
    choose_encoding,
    check_rate,
    read_body,
    decode_and_check,
    charge,
    spool,
)


def take(request: HttpRequest) -> list[Reject]:
    """Carry a request through every step; all valid points are on disk when this returns. Returns what was refused.

    Raises what `pipeline.answering_problems` turns into an answer.
    """
    exchange = PointsExchange(request)
    for step in PIPELINE:
        step(exchange)
    announce.ready()
    return exchange.points.rejects


def _window() -> Window:
    now = timezone.now()
    return Window(
        oldest_ns=microseconds(now - settings.INGEST_MAX_AGE) * 1000,
        latest_ns=microseconds(now + settings.INGEST_MAX_FUTURE) * 1000,
        days=settings.INGEST_MAX_AGE.days,
        future_s=int(settings.INGEST_MAX_FUTURE.total_seconds()),
    )
