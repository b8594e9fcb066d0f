"""Inputs without end: a good body of some protocol, damaged in its structure, then in its bytes, then in its encoding."""

from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fuzz import arrowbodies, bytesplay, seeds
from tests.fuzz.case import Case
from tests.fuzz.jsontext import dumps, mutated

Made = tuple[str, str, bytes, str]  # path, content type, body, note
EVENTS = "/api/v1/events"
TELEMETRY = "/api/v1/telemetry"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
PROTOBUF = "application/x-protobuf"
COUNTS = (1, 1, 1, 2, 3, 5, 40)


def case(random: Random) -> Case:
    make, key = random.choices(MAKERS, [maker[2] for maker in MAKERS])[0][:2]
    path, content_type, body, note = make(random)
    if random.random() < 0.03:
        path, content_type = random.choice(ROADS)
        note += f", sent to {path} as {content_type}"
    if random.random() < 0.25:
        body, note = bytesplay.damaged(body, random), note + ", bytes damaged"
    body, encoding, note = _encoded(body, note, random)
    if random.random() < 0.1:
        key = random.choice(("tenant", "operator", "observing", "none"))
    return Case(path, content_type, body, encoding, key, note, _headers(random))


def _encoded(body: bytes, note: str, random: Random) -> tuple[bytes, str, str]:
    choice = random.random()
    if choice < 0.75:
        return body, "", note
    if choice < 0.755:
        encoding = random.choice(("gzip", "zstd"))
        return bytesplay.bomb(encoding, random), encoding, f"{encoding} bomb"
    if choice < 0.77:
        return (
            body,
            random.choice(("gzip", "zstd", "br", "GZIP", "identity", "gzip, gzip")),
            note + ", encoding is a lie",
        )
    encoding = random.choice(("gzip", "zstd"))
    return bytesplay.encoded(body, encoding, random), encoding, f"{note}, {encoding}"


def _headers(random: Random) -> dict[str, str]:
    """CloudEvents' binary mode, now and then, and nonsense."""
    if random.random() > 0.03:
        return {}
    names = {
        "ce-specversion": "1.0",
        "ce-type": "tallywatt.request",
        "ce-id": "h1",
        "ce-source": "gw",
        "ce-time": "2026-01-15T12:00:00Z",
    }
    found = {name: value for name, value in names.items() if random.random() < 0.85}
    return found | ({"ce-id": random.choice(("", "%41", "%zz", "%", "x" * 500))} if random.random() < 0.4 else {})


def _damaged(value: Any, random: Random) -> tuple[Any, str]:
    changes = random.choice((0, 0, 1, 1, 1, 2, 4))
    for _ in range(changes):
        value = mutated(value, random)
    return value, f"{changes} changes"


def _text(value: Any) -> bytes:
    return dumps(value).encode("utf-8", "surrogatepass")


def ndjson(random: Random) -> Made:
    lines = []
    for _ in range(random.choice(COUNTS)):
        value, _ = _damaged(seeds.event(random), random)
        lines.append(_text(value))
    return EVENTS, NDJSON, random.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\r")).join(lines), f"ndjson of {len(lines)}"


def samples(random: Random) -> Made:
    lines = []
    for _ in range(random.choice((*COUNTS, 400))):
        value, _ = _damaged(seeds.sample(random), random)
        lines.append(_text(value))
    return TELEMETRY, NDJSON, random.choice((b"\n", b"\n", b"\r\n", b"\n\n")).join(lines), f"samples, {len(lines)}"


def arrow_samples(random: Random) -> Made:
    body, note = arrowbodies.samples(random)
    return TELEMETRY, ARROW, body, f"samples in arrow, {note}"


def cloudevents(random: Random) -> Made:
    value, note = _damaged([seeds.cloudevent(random) for _ in range(random.choice(COUNTS))], random)
    kind = random.choice(("application/cloudevents-batch+json", "application/json"))
    return EVENTS, kind, _text(value), f"cloudevents, {note}"


def cloudevent(random: Random) -> Made:
    value, note = _damaged(seeds.cloudevent(random), random)
    kind = random.choice(("application/cloudevents+json", "application/json", "application/json; charset=utf-16"))
    return EVENTS, kind, _text(value), f"cloudevent, {note}"


def arrow(random: Random) -> Made:
    body, note = arrowbodies.stream(random)
    return EVENTS, ARROW, body, f"arrow, {note}"


def lago(random: Random) -> Made:
    single = random.random() < 0.4
    sent = (
        {"event": seeds.lago(random)}
        if single
        else {"events": [seeds.lago(random) for _ in range(random.choice(COUNTS))]}
    )
    value, note = _damaged(sent, random)
    return "/lago/api/v1/events" + ("" if single else "/batch"), "application/json", _text(value), f"lago, {note}"


def meter(random: Random) -> Made:
    value, note = _damaged(seeds.meter(random), random)
    return "/api/v1/meters", "application/json", _text(value), f"meter, {note}"


def _otlp(
    path: str, seed: Callable[[Random], dict[str, Any]], message: Callable[[], Message]
) -> Callable[[Random], Made]:
    def made(random: Random) -> Made:
        value, note = _damaged(seed(random), random)
        if random.random() < 0.5:
            return path, "application/json", _text(value), f"otlp json, {note}"
        try:
            body = json_format.ParseDict(value, message(), ignore_unknown_fields=True).SerializeToString()
        except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
            body = json_format.ParseDict(seed(random), message()).SerializeToString()
        if random.random() < 0.4:
            other = json_format.ParseDict(seed(random), message()).SerializeToString()
            body = bytesplay.spliced(body, other, random)
        return path, PROTOBUF, body, f"otlp protobuf, {note}"

    return made


def junk(random: Random) -> Made:
    path, content_type = random.choice(ROADS)
    body = random.choice(
        (b"", b"\x00", b"null", b"[]", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", random.randbytes(random.randrange(300)))
    )
    return path, content_type, body, "junk"


def deep(random: Random) -> Made:
    path, content_type = random.choice(ROADS)
    depth = random.choice((100, 250, 1_000, 20_000, 200_000))
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ('{"event":', "}"), ('[{"data":', "}]")))
    body = opening * depth + "1" + closing * (depth if random.random() < 0.7 else 0)
    return path, content_type, body.encode(), f"nested {depth} deep"


ROADS = (
    (EVENTS, NDJSON),
    (EVENTS, ARROW),
    (EVENTS, "application/cloudevents+json"),
    (EVENTS, "application/cloudevents-batch+json"),
    (EVENTS, "application/json"),
    (EVENTS, "text/plain"),
    (TELEMETRY, NDJSON),
    (TELEMETRY, ARROW),
    ("/lago/api/v1/events", "application/json"),
    ("/lago/api/v1/events/batch", "application/json"),
    ("/v1/traces", PROTOBUF),
    ("/v1/traces", "application/json"),
    ("/v1/metrics", PROTOBUF),
    ("/v1/metrics", "application/json"),
    ("/api/v1/meters", "application/json"),
)
# What makes a body, whose key it is sent with, how often.
MAKERS: tuple[tuple[Callable[[Random], Made], str, float], ...] = (
    (ndjson, "tenant", 3),
    (cloudevents, "tenant", 2),
    (cloudevent, "tenant", 2),
    (arrow, "tenant", 5),
    (lago, "tenant", 2),
    (_otlp("/v1/traces", seeds.traces, ExportTraceServiceRequest), "tenant", 3),
    (_otlp("/v1/metrics", seeds.metrics, ExportMetricsServiceRequest), "operator", 3),
    (samples, "operator", 3),
    (arrow_samples, "operator", 3),
    (meter, "operator", 0.3),
    (junk, "tenant", 0.5),
    (deep, "tenant", 0.3),
)
