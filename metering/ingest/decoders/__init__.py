"""One decoder per protocol: bytes in, events out. What an event must be like is checked in one place, after decoding.

A decoder never raises for a bad event: it yields it with the reason. It raises Undecodable if the body as a whole is not what it
claims to be.
"""

from django.http import HttpRequest

from metering.ingest.decoders import arrow, cloudevents, cloudevents_binary, ndjson
from metering.ingest.decoders import cloudevents_columns as fast
from metering.ingest.decoders.common import Decoder, UnknownContentType

__all__ = ["Decoder", "for_events"]

BY_CONTENT_TYPE = {
    "application/x-ndjson": Decoder("ndjson", ndjson.decode, receipt=True, columns=ndjson.columns),
    "application/vnd.apache.arrow.stream": Decoder("arrow", arrow.decode, receipt=True, columns=arrow.columns),
    "application/cloudevents+json": Decoder("cloudevents", cloudevents.decode_one, columns=fast.columns_of_one),
    "application/cloudevents-batch+json": Decoder("cloudevents", cloudevents.decode_many, columns=fast.columns_of_many),
    "application/json": Decoder("cloudevents", cloudevents.decode_any, columns=fast.columns_of_any),
}


def for_events(request: HttpRequest) -> Decoder:
    """The decoder of `POST /api/v1/events`, by content type, or by the headers of CloudEvents' binary mode."""
    if binary := cloudevents_binary.for_request(request):
        return binary
    kind = (request.content_type or "").lower()
    decoder = BY_CONTENT_TYPE.get(kind)
    if decoder is None:
        raise UnknownContentType(f"Content-Type {kind[:80]!r} is not taken: one of {', '.join(BY_CONTENT_TYPE)}")
    return decoder
