"""`POST /api/v1/telemetry`: samples of GPUs and engines, as NDJSON or Arrow. docs/telemetry.md is for those who send them."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.ingest import telemetry_pipeline
from metering.ingest.pipeline import answering_problems
from metering.ingest.views import receipt


@csrf_exempt
@answering_problems
def telemetry(request: HttpRequest) -> HttpResponse:
    """202 with a receipt once every valid sample is on disk; all others are in quarantine."""
    exchange = telemetry_pipeline.take(request)
    return receipt(exchange.accepted.batch, exchange.batch.accepted, exchange.batch.rejects)
