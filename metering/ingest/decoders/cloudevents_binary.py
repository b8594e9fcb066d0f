"""CloudEvents in HTTP's binary mode: the attributes are `ce-` headers, the body is the data, as JSON.

What is kept of a refused event is the same event in JSON, so that it can be read again without its headers.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import unquote_to_bytes

import orjson
from django.http import HttpRequest

from metering.contracts import RejectReason
from metering.ingest.context import Decoded
from metering.ingest.decoders.cloudevents import decode_envelope
from metering.ingest.decoders.common import BadEvent, Decoder, UnknownContentType, check_values, load

PREFIX = "ce-"
# The spec leaves both to other places: the content type is a header of its own, and the data is the body.
NO_HEADERS_OF = ("datacontenttype", "data")
JSON = re.compile(r"\A(application|text)/([a-z0-9.-]+\+)?json\Z")
QUOTED = re.compile(r'\A"(.*)"\Z', re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def for_request(request: HttpRequest) -> Decoder | None:
    """None if the request is not in binary mode. Raises UnknownContentType for data that is not JSON."""
    kind = (request.content_type or "").lower()
    if "ce-specversion" not in request.headers or kind.startswith("application/cloudevents"):
        return None
    if kind and not JSON.match(kind):
        raise UnknownContentType(f"a CloudEvent in binary mode holds JSON: Content-Type {kind[:80]!r} is not taken")
    headers = {name.lower(): value for name, value in request.headers.items()}
    attributes = {name.removeprefix(PREFIX): value for name, value in headers.items() if name.startswith(PREFIX)}
    return Decoder("cloudevents", partial(decode, attributes))


def decode(attributes: Mapping[str, str], body: bytes, most: int) -> Iterator[Decoded]:
    """The one event of the request. `attributes` are header values as they were sent."""
    envelope: dict[str, object] = {}
    bad: BadEvent | None = None
    check_values(body)
    for name, value in attributes.items():
        if name in NO_HEADERS_OF:
            continue
        try:
            envelope[name] = text_of(value)
        except UnicodeError:
            bad = BadEvent(name, RejectReason.MALFORMED, f"the header {PREFIX}{name} is not UTF-8, percent-encoded")
    try:
        envelope["data"] = load(body) if body else None
    except ValueError as error:
        envelope["data_base64"] = base64.b64encode(body).decode()
        bad = bad or BadEvent("data", RejectReason.MALFORMED, f"the body is not JSON: {error}")
    yield _decoded(envelope, body, bad)


def _decoded(envelope: dict[str, object], body: bytes, bad: BadEvent | None) -> Decoded:
    try:
        raw = orjson.dumps(envelope)
    except orjson.JSONEncodeError:  # nested deeper than the writer goes
        raw = body
    return Decoded(0, raw, None, bad.error, bad.field) if bad else decode_envelope(0, raw, envelope)


def text_of(value: str) -> str:
    """A header's value: quotes taken off, then one round of percent-decoding (CloudEvents HTTP binding, 3.1.3.2).

    `value` is as the server gives it: each byte a character. Senders that encode nothing put UTF-8 there, or Latin-1 as Python's
    http.client does. UnicodeError for percent-encoded bytes that are no UTF-8.
    """
    if quoted := QUOTED.match(value):
        value = ESCAPED.sub(r"\1", quoted[1])
    sent = value.encode("latin-1")
    decoded = unquote_to_bytes(sent)
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        if decoded == sent:
            return value
        raise
