"""The examples of docs/examples do what they say."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.tallywatt.server import KEY, StrictServer

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
ANSWER = {
    "id": "x",
    "model": "m",
    "choices": [],
    "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
}


def test_vllm_is_started_with_its_spans_going_to_tallywatt(tmp_path: Path) -> None:
    """In place of vLLM, a program that says how it was started."""
    vllm = tmp_path / "vllm"
    vllm.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith('OTEL')}]))\n"
    )
    vllm.chmod(0o700)
    told = {"TALLYWATT_URL": "https://t.example", "TALLYWATT_KEY": KEY, "TENANT": "acme", "MODEL": "org/m"}
    done = subprocess.run(
        ["sh", str(EXAMPLES / "vllm_otlp.sh"), "--port", "8001"],
        env=told | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    words, environment = json.loads(done.stdout)
    assert words == ["serve", "org/m", "--otlp-traces-endpoint", "https://t.example/v1/traces", "--port", "8001"]
    assert environment["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] == f"Authorization=Bearer%20{KEY}"
    assert environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"
    assert environment["OTEL_RESOURCE_ATTRIBUTES"].startswith("tallywatt.tenant=acme,tallywatt.model=org/m,host.name=")


class Chunks(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for count in (1, 2, 3):
            chunk = ANSWER | {"usage": {"prompt_tokens": 50, "completion_tokens": count}}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"


def upstream(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content)
    if not body.get("stream"):
        return httpx.Response(200, json=ANSWER)
    assert body["stream_options"]["include_usage"] is True
    return httpx.Response(200, stream=Chunks())


@pytest.fixture
def gateway(server: StrictServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("fastapi", reason="the gateway's framework is not among our own tools")
    for name, value in {
        "UPSTREAM_URL": "http://upstream/v1",
        "TALLYWATT_URL": server.url,
        "TALLYWATT_KEY": KEY,
        "CUSTOMERS": '{"sk-1": "acme"}',
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("gateway_fastapi", EXAMPLES / "gateway_fastapi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gateway_fastapi", module)
    spec.loader.exec_module(module)
    module.upstream = httpx.AsyncClient(base_url="http://upstream/v1", transport=httpx.MockTransport(upstream))
    return module


def test_the_gateway_meters_answers_and_streams_and_turns_strangers_away(
    gateway: ModuleType, server: StrictServer
) -> None:
    import asyncio

    async def program() -> list[int]:
        async with gateway.lifespan(gateway.app):
            front = httpx.ASGITransport(app=gateway.app)
            async with httpx.AsyncClient(transport=front, base_url="http://gateway") as customer:
                found = []
                for key, stream in (("sk-1", False), ("sk-1", True), ("sk-2", False)):
                    answer = await customer.post(
                        "/v1/chat/completions",
                        json={"model": "m", "stream": stream, "messages": []},
                        headers={"Authorization": f"Bearer {key}"},
                    )
                    found.append(answer.status_code)
                return found

    assert asyncio.run(program()) == [200, 200, 401]
    fields = ("tenant", "model", "input_tokens", "cached_input_tokens", "output_tokens", "stream", "status")
    sent: list[tuple[Any, ...]] = [
        tuple(event.get(name) for name in fields) for request in server.requests for event in request.events
    ]
    assert sent == [("acme", "m", 100, 64, 7, None, None), ("acme", "m", 50, None, 3, True, None)]
