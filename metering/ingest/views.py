"""`POST /api/v1/events`: CloudEvents, bare JSON, NDJSON and Arrow, told apart by their content type."""

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from metering.ingest.checking import Reject
from metering.ingest.decoders import for_events
from metering.ingest.pipeline import Exchange, answering_problems, take
from metering.problems import problem

MOST_LISTED = 1000  # rejects named in one answer; all of them are in quarantine


@csrf_exempt
@answering_problems
def events(request: HttpRequest) -> HttpResponse:
    """204 or 202 once every valid event is on disk; see DESIGN for the answers by protocol."""
    exchange = take(request, for_events)
    if not exchange.decoder.receipt:
        return _silent_answer(exchange)
    return receipt(exchange.accepted.batch, exchange.batch.accepted, exchange.batch.rejects)


def receipt(batch: str, accepted: int, rejects: Sequence[Reject]) -> HttpResponse:
    return JsonResponse({"batch": batch, "accepted": accepted, "rejected": listed(rejects)}, status=202)


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
        rejected=listed(batch.rejects),
    )


def listed(rejects: Sequence[Reject]) -> list[dict[str, object]]:
    return [reject.as_json() for reject in rejects[:MOST_LISTED]]
