"""LiteLLM's own callbacks, with `mock_response` in place of a provider. What its answers say was used is what must arrive."""

import asyncio
import os

from usage import TOLD, report

URL = TOLD["url"]
os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENMETER_API_ENDPOINT": URL,
    "OPENMETER_API_KEY": TOLD["key"],
    "LAGO_API_BASE": f"{URL}/lago",
    "LAGO_API_KEY": TOLD["key"],
    "LAGO_API_EVENT_CODE": "litellm_tokens",
    "LAGO_API_CHARGE_BY": "user_id",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
    "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {TOLD['key']}",
} | TOLD.get("environment", {})

import litellm  # noqa: E402 - it reads the environment
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER  # noqa: E402

MESSAGES = [{"role": "user", "content": "How many tokens is this?"}]
MODEL = "gpt-4o-mini"

if TOLD["callback"] == "otel":
    litellm.callbacks = ["otel"]
else:
    litellm.success_callback = [TOLD["callback"]]


def call() -> dict[str, object]:
    """One call's arguments. LiteLLM notes in `metadata` what it has logged, so that each call needs one of its own."""
    who = {"user": TOLD["tenant"], "metadata": {"user_api_key_user_id": TOLD["tenant"]}}
    return {"model": MODEL, "messages": MESSAGES, "mock_response": "A few more than that."} | who


def cached_answer() -> litellm.ModelResponse:
    """As a provider answers that found most of the prompt in its cache."""
    details = {"cached_tokens": 64}
    used = litellm.Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120, prompt_tokens_details=details)
    message = litellm.Message(content="From the cache.", role="assistant")
    return litellm.ModelResponse(model=MODEL, choices=[litellm.Choices(message=message)], usage=used)


def streamed(parts: list[str]) -> litellm.Usage:
    """A mocked stream tells no usage: it is what LiteLLM's own counter makes of prompt and answer."""
    return litellm.Usage(
        prompt_tokens=litellm.token_counter(messages=MESSAGES, model=MODEL),
        completion_tokens=litellm.token_counter(text="".join(parts), count_response_tokens=True, model=MODEL),
    )


def synchronous() -> list[litellm.Usage]:
    found = [litellm.completion(**call()).usage for _ in range(TOLD["count"])]
    return [
        *found,
        streamed([chunk.choices[0].delta.content or "" for chunk in litellm.completion(stream=True, **call())]),
    ]


async def asynchronous() -> list[litellm.Usage]:
    found = [(await litellm.acompletion(**call())).usage for _ in range(TOLD["count"])]
    if TOLD.get("cached"):
        found.append((await litellm.acompletion(**call() | {"mock_response": cached_answer()})).usage)
    parts = [chunk.choices[0].delta.content or "" async for chunk in await litellm.acompletion(stream=True, **call())]
    await asyncio.sleep(1)  # the last answer's callback is only now put into the queue
    await GLOBAL_LOGGING_WORKER.flush()
    await asyncio.sleep(TOLD.get("linger_s", 0))
    return [*found, streamed(parts)]


used = asyncio.run(asynchronous()) if TOLD["asynchronous"] else synchronous()
report(
    requests=len(used),
    input=sum(each.prompt_tokens for each in used),
    output=sum(each.completion_tokens for each in used),
    cached=sum(each.prompt_tokens_details.cached_tokens or 0 for each in used if each.prompt_tokens_details),
)
