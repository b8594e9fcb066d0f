"""`POST /v1/traces` and `POST /v1/metrics`: OTLP over HTTP, in protobuf or JSON. The answer has the encoding of the request.

Anything but 200 is a problem document: exporters look at the status and at Retry-After alone.
"""

from collections.abc import Callable, Sequence
from functools import wraps

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from metering.ingest import announce, points_pipeline
from metering.ingest.checking import Reject
from metering.ingest.decoders.common import Undecodable
from metering.ingest.decoders.otlp_common import answer, speaks_json
from metering.ingest.decoders.otlp_traces import for_traces
from metering.ingest.pipeline import PIPELINE, Exchange, View, answering_problems, decode_and_check
from metering.problems import problem

MOST_NAMED = 5  # rejects in an answer's message; all of them are in quarantine
Step = Callable[[Exchange], None]


def decode_perhaps_nothing(exchange: Exchange) -> None:
    """A request without any usage is a good one here: a collector sends whatever spans it has."""
    try:
        decode_and_check(exchange)
    except Undecodable:
        if exchange.batch.rejects:
            raise


TRACES: tuple[Step, ...] = tuple(decode_perhaps_nothing if step is decode_and_check else step for step in PIPELINE)


def never_429(view: View) -> View:
    """503 in its place: OpenTelemetry's Python exporter sends again after 408 and 5xx alone, and gives its spans up on a 429."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        response = view(request)
        if response.status_code != 429:
            return response
        return problem(503, orjson.loads(response.content)["detail"], headers={"Retry-After": response["Retry-After"]})

    return wrapped


@csrf_exempt
@never_429
@answering_problems
def traces(request: HttpRequest) -> HttpResponse:
    """200 once every valid event is on disk; `rejected_spans` tells how many others are in quarantine."""
    exchange = Exchange(request, for_traces)
    for step in TRACES:
        step(exchange)
    announce.ready()
    response = ExportTraceServiceResponse()
    if exchange.batch.rejects:
        response.partial_success.rejected_spans = len(exchange.batch.rejects)
        response.partial_success.error_message = _reasons("span", exchange.batch.rejects)
    return answer(response, is_json=speaks_json(request))


@csrf_exempt
@never_429
@answering_problems
def metrics(request: HttpRequest) -> HttpResponse:
    """200 once every valid data point is on disk; `rejected_data_points` tells how many others are in quarantine."""
    rejects = points_pipeline.take(request)
    response = ExportMetricsServiceResponse()
    if rejects:
        response.partial_success.rejected_data_points = len(rejects)
        response.partial_success.error_message = _reasons("data point", rejects)
    return answer(response, is_json=speaks_json(request))


def _reasons(what: str, rejects: Sequence[Reject]) -> str:
    """The first rejects, in words."""
    named = "; ".join(f"{what} {reject.index}: {reject.message}" for reject in rejects[:MOST_NAMED])
    more = len(rejects) - MOST_NAMED
    return f"not taken and kept in quarantine: {named}" + (f"; and {more} more" if more > 0 else "")
