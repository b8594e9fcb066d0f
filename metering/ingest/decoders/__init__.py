"""One decoder per protocol: bytes in, events out. What an event must be like is checked in one place, after decoding.

A decoder never raises for a bad event: it yields it with the reason. It raises Undecodable if the body as a whole is not what it
claims to be.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from metering.ingest.checking import Decoded
from metering.ingest.decoders import cloudevents, ndjson
from metering.ingest.decoders.common import Undecodable

__all__ = ["BY_CONTENT_TYPE", "Decoder", "Undecodable"]


@dataclass(frozen=True)
class Decoder:
    """`receipt`: the answer is 202 with a receipt; else 204, or 400 that lists what was refused."""

    name: str
    decode: Callable[[bytes, int], Iterable[Decoded]]
    receipt: bool


BY_CONTENT_TYPE = {
    "application/x-ndjson": Decoder("ndjson", ndjson.decode, receipt=True),
    "application/cloudevents+json": Decoder("cloudevents", cloudevents.decode_one, receipt=False),
    "application/cloudevents-batch+json": Decoder("cloudevents", cloudevents.decode_many, receipt=False),
    "application/json": Decoder("cloudevents", cloudevents.decode_any, receipt=False),
}
