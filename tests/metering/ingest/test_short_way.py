"""The ASGI way of events beside Django's: the same answers, pages untouched, and a bound on bodies in memory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.urls import resolve

from metering import accounts, keys
from metering.ingest import asgi
from metering.ingest.asgi import ShortWay
from tests.metering.ingest.edge import Edge, event


@pytest.fixture
def edge(transactional_db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


async def beyond(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Django."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def sent(
    application: Any, path: str, parts: list[bytes], *, key: str = "", method: str = "POST"
) -> tuple[int, bytes, dict[str, str]]:
    """One request; status, body and headers of the answer. A last part of None is a sender that goes away."""
    messages: Iterator[Any] = iter(
        [
            {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
            for number, part in enumerate(parts)
        ]
    )
    answer: list[Any] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        answer.append(message)

    headers = [(b"content-type", b"application/x-ndjson"), (b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    asyncio.run(application(scope, receive, send))
    if not answer:
        return 0, b"", {}
    return (
        answer[0]["status"],
        answer[1]["body"],
        {name.decode(): value.decode() for name, value in answer[0]["headers"]},
    )


def test_a_batch_in_several_parts_is_one_batch(edge: Edge) -> None:
    body = b"\n".join(orjson.dumps(event(name)) for name in "abc")
    status, answer, headers = sent(
        ShortWay(beyond), "/api/v1/events", [body[:50], body[50:70], body[70:]], key=edge.key
    )
    assert (status, orjson.loads(answer)["accepted"]) == (202, 3)
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(answer)
    assert edge.stored() == [("a",), ("b",), ("c",)]


def test_refusals_are_the_same_problems(edge: Edge) -> None:
    status, _, headers = sent(ShortWay(beyond), "/api/v1/events", [b"{}"], key="tw_bad")
    assert (status, headers["content-type"]) == (401, "application/problem+json")
    assert headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("path", "method"), [("/api/v1/events", "GET"), ("/operator/", "POST"), ("/nowhere", "POST"), ("/healthz", "POST")]
)
def test_everything_else_goes_to_django(path: str, method: str) -> None:
    assert sent(ShortWay(beyond), path, [b""], method=method)[0] == 299


def test_a_sender_that_goes_away_takes_nothing_along(edge: Edge) -> None:
    class Gone(list[bytes]):
        def __len__(self) -> int:
            return 99

    parts = Gone([orjson.dumps(event("a"))])
    assert sent(ShortWay(beyond), "/api/v1/events", parts, key=edge.key)[0] == 0
    assert edge.stored() == []


def test_bodies_in_memory_are_bounded_and_their_bytes_are_given_back(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "MOST_BYTES", 1000)
    application = ShortWay(beyond)
    status, _, headers = sent(application, "/api/v1/events", [b" " * 600] * 3, key=edge.key)
    assert (status, headers["retry-after"]) == (429, "1")
    assert sent(application, "/api/v1/events", [orjson.dumps(event("a"))], key=edge.key)[0] == 202


def test_a_fault_in_a_view_is_a_500_that_tells_nothing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(header: str | None) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(keys, "authenticate", fault)
    status, answer, _ = sent(ShortWay(beyond), "/api/v1/events", [b"{}"], key=edge.key)
    assert status == 500
    assert b"secret" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/events",
        "/api/v1/telemetry",
        "/v1/traces",
        "/v1/metrics",
        "/lago/api/v1/events",
        "/lago/api/v1/events/batch",
    ],
)
def test_every_ingest_endpoint_takes_the_short_way(path: str) -> None:
    assert resolve(path).func.takes_events is True  # type: ignore[attr-defined]
