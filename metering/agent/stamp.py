"""What the agent adds to the spans of an engine before it sends them on: where they come from, and what they do not say themselves.

It stands on the resource. Two kinds, and who wins differs on purpose:
- `place`: where the request ran (node, region, cluster, engine, GPUs). The agent is told by whoever set up the node, an engine in a
  container does not know better: so the agent wins over what the resource says.
- `defaults`: tenant, model, project, tier. They stand in for what nobody said: the resource's own attributes win over them, and the
  server lets a span's own win over its resource's.
Winning means standing later: the server takes the last of equally named attributes (docs/otlp.md).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from metering.agent import otlp_protobuf
from metering.agent.otlp_protobuf import Attributes, NotProtobuf
from metering.agent.sources import Place

PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Unreadable(ValueError):
    """The body is not OTLP in the encoding that it claims to have."""


@dataclass(frozen=True)
class Stamp:
    """Attributes of resources, by their names in OTLP."""

    defaults: Attributes = field(default_factory=dict)
    place: Attributes = field(default_factory=dict)

    def on(self, body: bytes, content_type: str) -> bytes:
        """The request with its resources stamped. Raises Unreadable."""
        return self._on_json(body) if content_type == JSON else self._on_protobuf(body)

    def _on_protobuf(self, body: bytes) -> bytes:
        before, after = self._fields
        try:
            return otlp_protobuf.stamped(body, before, after)
        except NotProtobuf as error:
            raise Unreadable(str(error)) from None

    @cached_property
    def _fields(self) -> tuple[bytes, bytes]:
        return otlp_protobuf.resource(self.defaults), otlp_protobuf.resource(self.place)

    def _on_json(self, body: bytes) -> bytes:
        try:
            request = json.loads(body, parse_constant=_no_number)
            for spans in _list(request, "resourceSpans"):
                resource = spans.setdefault("resource", {})
                given = _list(resource, "attributes")
                resource["attributes"] = [*_pairs(self.defaults), *given, *_pairs(self.place)]
            return json.dumps(request, separators=(",", ":")).encode()
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Unreadable(f"the body is not OTLP/JSON: {error}") from None


def stamp(place: Place, defaults: Mapping[str, str], engine: str = "", gpus: Sequence[str] = ()) -> Stamp:
    """`defaults` by their names in the configuration. What is empty is not added."""
    where: dict[str, str | Sequence[str]] = {
        "host.name": place.node,
        "cloud.region": place.region,
        "k8s.cluster.name": place.cluster,
        "tallywatt.engine": engine,
        "tallywatt.gpus": tuple(gpus),
    }
    return Stamp(
        {f"tallywatt.{name}": value for name, value in defaults.items() if value},
        {name: value for name, value in where.items() if value},
    )


def _list(holder: Any, name: str) -> list[Any]:
    """A repeated field of OTLP/JSON: null and absent are empty. Raises TypeError."""
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise TypeError(f"{name} must be an array")
    return found


def _pairs(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _any(value)} for name, value in attributes.items()]


def _any(value: str | Sequence[str]) -> dict[str, Any]:
    return (
        {"stringValue": value} if isinstance(value, str) else {"arrayValue": {"values": [_any(item) for item in value]}}
    )


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")
