"""A gateway in front of an OpenAI-compatible server (vLLM, SGLang, TGI, llama.cpp) that meters what passes through it.

The five lines marked (1) to (5) are all that Tallywatt needs; the rest is the gateway.

    pip install tallywatt fastapi uvicorn
    export UPSTREAM_URL=http://127.0.0.1:8001/v1 TALLYWATT_URL=http://127.0.0.1:8000 TALLYWATT_KEY=tw_...
    export CUSTOMERS='{"sk-acme-1": "acme"}'          # the gateway's own keys -> tenants
    uvicorn gateway_fastapi:app --port 9000

TALLYWATT_KEY: `manage.py create_api_key --operator --scopes ingest`, which may write for every tenant.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tallywatt import AsyncClient, from_openai_usage  # (1)

CUSTOMERS: dict[str, str] = json.loads(os.environ["CUSTOMERS"])
meter = AsyncClient(os.environ["TALLYWATT_URL"], os.environ["TALLYWATT_KEY"], outbox="tallywatt-outbox")  # (2)
upstream = httpx.AsyncClient(base_url=os.environ["UPSTREAM_URL"], timeout=httpx.Timeout(600, connect=5))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with meter, upstream:  # (3)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/chat/completions", response_model=None)
async def chat(request: Request) -> Response:
    tenant = CUSTOMERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))
    if tenant is None:
        raise HTTPException(401, "unknown API key")
    body, began = await request.json(), time.monotonic()
    if body.get("stream"):
        # Usage on every chunk (vLLM, SGLang): of a stream that the customer breaks off, too, it is known what was delivered.
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return StreamingResponse(metered(body, tenant, began), media_type="text/event-stream")
    answer = await upstream.post("/chat/completions", json=body)
    if answer.is_success:
        said = answer.json()
        usage = from_openai_usage(said["usage"])  # (4)
        await meter.record(tenant=tenant, model=said["model"], e2e_ms=ms_since(began), **usage)  # (5)
    return JSONResponse(answer.json(), answer.status_code)


async def metered(body: dict[str, Any], tenant: str, began: float) -> AsyncIterator[bytes]:
    """Passes a stream through, line by line, and records the last usage that it named, however it ends."""
    last: dict[str, Any] = {}
    status, ttft_ms = "cancelled", None
    try:
        async with upstream.stream("POST", "/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    chunk = json.loads(line.removeprefix("data: "))
                    ttft_ms = ttft_ms or ms_since(began)
                    last = chunk if chunk.get("usage") else last
                yield f"{line}\n".encode()
        status = "ok"
    finally:
        if last:
            await meter.record(
                tenant=tenant,
                model=last["model"],
                status=status,
                stream=True,
                ttft_ms=ttft_ms,
                e2e_ms=ms_since(began),
                **from_openai_usage(last["usage"]),
            )


def ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
