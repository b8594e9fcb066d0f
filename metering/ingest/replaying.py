"""How an entry of quarantine is read again: a decoder for every name that entries are kept under.

Kept bytes are one event, whatever its request held: a line of NDJSON, one CloudEvent of a batch, one span as an OTLP request, a row
of Arrow or of our own as JSON. Fixed by hand, an object may stand on several lines.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

from metering.ingest import telemetry_limits
from metering.ingest.checking import Reject, check
from metering.ingest.context import Context, Decoded
from metering.ingest.decoders import cloudevents, lago, ndjson, otlp_traces
from metering.ingest.decoders.common import Decoder, load
from metering.ingest.schema import STAMPED
from metering.ingest.telemetry_checking import SampleBatch, check_each
from metering.ingest.telemetry_records import DECODER_NAME as TELEMETRY

# What we wrote into our own JSON beside the sender's fields. The replay stamps it anew.
OURS = frozenset((*STAMPED, "time_given", "observed"))


class Checked(Protocol):
    """What became of some events or samples: the rows to spool by kind of file, and what is refused."""

    @property
    def rejects(self) -> Sequence[Reject]: ...

    def tables(self) -> dict[str, pa.Table | None]: ...


Check = Callable[[Iterable[Decoded], Context], Checked]


def decode_object(body: bytes, most: int) -> Iterator[Decoded]:
    """One canonical event as a JSON object, on as many lines as it likes; else as lines."""
    event = _object(body)
    if event is None:
        yield from ndjson.decode(body, most)
    else:
        yield Decoded(0, body, event)


def decode_lago(body: bytes, most: int) -> Iterable[Decoded]:
    """What is kept of one event is a body with that event; a body that could not be read at all may have held many."""
    event = _object(body)
    many = event is not None and "events" in event
    return lago.decode_many(body, most) if many else lago.decode_one(body, most)


def decode_ours(body: bytes, most: int) -> Iterator[Decoded]:
    """As the seal and the sink write an event down: the sender's fields, our stamps, and values as SQL and Arrow spell them."""
    event = _object(body)
    if event is None:
        yield from ndjson.decode(body, most)
    else:
        yield Decoded(0, body, {name: _as_sent(name, value) for name, value in event.items() if name not in OURS})


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        event = load(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _as_sent(name: str, value: Any) -> Any:
    if name == "time" and isinstance(value, str) and len(value) == len("2026-01-31 12:00:00.000"):
        return value.replace(" ", "T") + "Z"  # ClickHouse writes a DateTime64 in its column's zone, which is UTC
    if name == "attributes" and isinstance(value, list):
        return dict(value)  # Arrow has a map as pairs
    return value


BY_NAME: dict[str, Decoder] = {
    "ndjson": Decoder("ndjson", decode_object),
    "arrow": Decoder("arrow", decode_object),
    "cloudevents": Decoder("cloudevents", cloudevents.decode_any),
    "lago": Decoder("lago", decode_lago),
    "otlp_traces": Decoder("otlp_traces", otlp_traces.decode),
    "seal": Decoder("seal", decode_ours),
    "sink": Decoder("sink", decode_ours),
    TELEMETRY: Decoder(TELEMETRY, decode_object),
}


def check_samples(received: Iterable[Decoded], context: Context) -> SampleBatch:
    """As at the edge, the limits on how many series a key may have included."""
    batch = check_each(received, context)
    telemetry_limits.limit(batch, context.credential)
    return batch


def check_of(name: str) -> Check:
    """The rules for what is kept under a decoder's name."""
    return check_samples if name == TELEMETRY else check
