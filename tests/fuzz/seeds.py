"""Good bodies of every protocol, as Python values, to be damaged. Numbers and names vary with the generator."""

import time
from random import Random
from typing import Any

NOW_MS = time.time_ns() // 1_000_000
MODELS = ("llama-4-70b", "m", "gpt-5")


def event(random: Random) -> dict[str, Any]:
    """Canonical fields, some of the optional ones among them."""
    full = {
        "source": "gw", "time": random.choice((NOW_MS, NOW_MS - 86_400_000, "2026-01-15T12:00:00Z", "2025-06-01T00:00:00.5+02:00")),
        "project": "p", "api_key_id": "k", "end_user": "u", "operation": random.choice(("chat", "embedding")), "tier": "batch",
        "status": random.choice(("ok", "error", "cancelled")), "finish_reason": "stop", "cached_input_tokens": 5,
        "cache_write_tokens": 1, "reasoning_tokens": 2, "queue_ms": 1.5, "ttft_ms": 20, "tpot_ms": 0.5, "e2e_ms": 1e3, "region": "eu",
        "cluster": "c", "node": "n", "engine": "vllm", "gpus": ["g1", "g2"], "stream": True, "attributes": {"a": "b", "": "c"},
    }  # fmt: skip
    chosen = {name: value for name, value in full.items() if random.random() < 0.4}
    return _required(random) | chosen


def _required(random: Random) -> dict[str, Any]:
    return {
        "id": f"f-{random.randrange(10**9)}",
        "model": random.choice(MODELS),
        "input_tokens": random.randrange(10, 1_000),
        "output_tokens": random.randrange(3, 1_000),
    }


def cloudevent(random: Random) -> dict[str, Any]:
    kind = random.choice(("tallywatt.request", "tallywatt.request", "litellm_tokens", "gpu.hours", "unknown.type"))
    data = {name: value for name, value in event(random).items() if name not in {"id", "source", "time"}}
    if kind == "litellm_tokens":
        data = litellm(random)
    elif kind != "tallywatt.request":
        data = {"hours": random.choice((1, 0.25, "1.5")), "gpu": {"type": "H200"}}
    envelope = {"specversion": "1.0", "type": kind, "id": f"f-{random.randrange(10**9)}", "source": "gw", "data": data}
    optional = {
        "time": "2026-01-15T12:00:00Z", "subject": "fuzz", "datacontenttype": "application/json", "dataschema": "https://x/y",
        "traceparent": "00-1-1-00", "extension1": 5,
    }  # fmt: skip
    return envelope | {name: value for name, value in optional.items() if random.random() < 0.3}


def litellm(random: Random) -> dict[str, Any]:
    return {
        "model": random.choice(MODELS), "cost": 0.0125, "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 1},
    }  # fmt: skip


def lago(random: Random) -> dict[str, Any]:
    kind = random.choice(("tallywatt.request", "litellm_tokens", "tokens", "gpu.hours"))
    properties = litellm(random) if kind == "litellm_tokens" else {**_required(random), "cached_input_tokens": 2}
    properties.pop("id", None)
    event_ = {"transaction_id": f"f-{random.randrange(10**9)}", "code": kind, "properties": properties}
    optional = {
        "external_subscription_id": "fuzz", "external_customer_id": "fuzz", "timestamp": random.choice((NOW_MS / 1000, "1768478400.123")),
        "precise_total_amount_cents": "12.50",
    }  # fmt: skip
    return event_ | {name: value for name, value in optional.items() if random.random() < 0.5}


def meter(random: Random) -> dict[str, Any]:
    """A definition, as OpenMeter's API takes it."""
    return {
        "slug": f"m{random.randrange(10**6)}", "eventType": random.choice(("gpu.hours", "disk", "x")), "valueProperty": "$.a.b",
        "aggregation": random.choice(("SUM", "COUNT", "MAX", "MIN", "UNIQUE_COUNT", "LATEST")), "groupBy": {"kind": "$.gpu.type"},
        "description": "d", "unit": "h",
    }  # fmt: skip


ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {"gen_ai.request.id": "cmpl-7", "gen_ai.usage.prompt_tokens": 1_000, "gen_ai.usage.completion_tokens": 101,
     "gen_ai.latency.time_to_first_token": 0.25, "gen_ai.latency.e2e": 2.25, "gen_ai.latency.time_in_queue": 0.05,
     "gen_ai.response.model": "llama", "gen_ai.request.n": 1},
    {"rid": "a1b2", "module": "sglang::request", "gen_ai.usage.prompt_tokens": 900, "gen_ai.usage.completion_tokens": 11,
     "gen_ai.usage.cached_tokens": 512, "gen_ai.response.model": "llama", "gen_ai.response.finish_reasons": '["stop"]'},
    {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude",
     "gen_ai.response.id": "msg-1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
     "gen_ai.usage.cache_read.input_tokens": 10, "gen_ai.usage.cache_creation.input_tokens": 5,
     "gen_ai.response.finish_reasons": ["stop", "length"]},
    {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-5", "gen_ai.usage.prompt_tokens": 5,
     "gen_ai.usage.completion_tokens": 2, "llm.usage.total_tokens": 7},
    {"http.method": "GET"},
)  # fmt: skip


def sample(random: Random) -> dict[str, Any]:
    """Of a GPU, one of its MIG instances, or an engine, with some of its readings."""
    kind = random.choice(("gpu", "gpu", "engine"))
    given = GPU_READINGS if kind == "gpu" else ENGINE_READINGS
    own = {"gpu": f"GPU-{random.randrange(8)}", "source": random.choice(("nvml", "dcgm"))}
    if kind == "engine":
        own = {"engine": f"vllm-{random.randrange(3)}", "engine_kind": random.choice(("vllm", "sglang"))}
    at = random.choice((NOW_MS, NOW_MS - 86_400_000, "2026-11-15T12:00:00Z"))
    chosen = {name: value for name, value in given.items() if random.random() < 0.4}
    return {"kind": kind, "time": at, "node": f"n{random.randrange(5)}", **own, **chosen}


GPU_READINGS: dict[str, Any] = {
    "index": 3, "mig": "1/0", "name": "H100", "region": "eu", "cluster": "c", "simulated": True, "gpu_utilization": 1.0005,
    "memory_utilization": 0.5, "sm_active": 0.3, "sm_occupancy": 0, "tensor_active": 0.1, "dram_active": 0.6,
    "memory_used_bytes": 60 * 2**30, "memory_total_bytes": 80 * 2**30, "power_w": 512.25, "power_limit_w": 700,
    "energy_j": 1.5e8, "sm_clock_mhz": 1980, "memory_clock_mhz": 2619, "temperature_c": -3, "memory_temperature_c": 70.5,
    "throttle": ["sw_power_cap", "hw_thermal"], "xid_errors": 2, "xid_last": 79,
}  # fmt: skip
ENGINE_READINGS: dict[str, Any] = {
    "up": True, "model": "m", "region": "eu", "cluster": "c", "simulated": False, "gpus": ["GPU-0", "GPU-1"], "running": 12,
    "waiting": 3.5, "kv_cache_usage": 0.75, "preemptions": 4, "prompt_tokens": 2**62, "cached_prompt_tokens": 10**9,
    "generation_tokens": 7, "prefix_cache_queries": 100, "prefix_cache_hits": 60, "requests_finished": 50, "requests_aborted": 5,
    "ttft_sum_s": 12.5, "ttft_count": 50, "itl_sum_s": 3.25, "itl_count": 500, "e2e_sum_s": 99, "e2e_count": 45,
    "queue_sum_s": 0.5, "queue_count": 50, "prefill_sum_s": 8.0, "prefill_count": 50, "decode_sum_s": 80.0, "decode_count": 49,
}  # fmt: skip


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"stringValue": value}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": any_value(value)} for name, value in values.items()]


def traces(random: Random) -> dict[str, Any]:
    """An ExportTraceServiceRequest in OTLP's JSON."""
    end_ns = NOW_MS * 1_000_000
    spans = [
        {
            "traceId": f"{random.getrandbits(128):032x}", "spanId": f"{random.getrandbits(64):016x}", "name": "llm_request", "kind": 2,
            "startTimeUnixNano": str(end_ns - 2_500_000_000), "endTimeUnixNano": str(end_ns),
            "attributes": attributes(random.choice(ATTRIBUTES)), "status": {"code": random.randrange(3)},
            "events": [{"timeUnixNano": str(end_ns), "name": "first_token"}],
        }
        for _ in range(random.choice((1, 1, 3)))
    ]  # fmt: skip
    resource = {"attributes": attributes({"service.name": "vllm", "host.name": "n1", "tallywatt.tenant": "fuzz"})}
    scope = {"name": random.choice(("vllm.llm_engine", "sglang", "opentelemetry.genai"))}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def metrics(random: Random) -> dict[str, Any]:
    """An ExportMetricsServiceRequest in OTLP's JSON."""
    at = {"timeUnixNano": str(NOW_MS * 1_000_000), "startTimeUnixNano": str((NOW_MS - 60_000) * 1_000_000)}
    number = at | {"asDouble": 412.5, "attributes": attributes({"hw.id": "gpu0", "n": 3})}
    histogram = at | {
        "count": "6",
        "sum": 1.5,
        "bucketCounts": ["1", "2", "3"],
        "explicitBounds": [0.1, 1.0],
        "min": 0.1,
        "max": 1,
    }
    exponential = at | {
        "count": "4", "sum": 9.0, "scale": random.choice((0, 3, 20, -10)), "zeroCount": "1",
        "positive": {"offset": random.choice((0, -3, 2**31 - 1)), "bucketCounts": ["1", "2"]},
        "negative": {"offset": 0, "bucketCounts": []},
    }  # fmt: skip
    summary = at | {
        "count": "3",
        "sum": 4.0,
        "quantileValues": [{"quantile": 0.5, "value": 1.0}, {"quantile": 1, "value": 2}],
    }
    kinds: tuple[dict[str, Any], ...] = (
        {"gauge": {"dataPoints": [number]}},
        {"sum": {"dataPoints": [at | {"asInt": "7"}], "aggregationTemporality": 2, "isMonotonic": True}},
        {"histogram": {"dataPoints": [histogram], "aggregationTemporality": random.choice((0, 1, 2))}},
        {"exponentialHistogram": {"dataPoints": [exponential], "aggregationTemporality": 1}},
        {"summary": {"dataPoints": [summary]}},
    )
    found = [{"name": "hw.gpu.power", "unit": "W"} | random.choice(kinds) for _ in range(random.choice((1, 2, 4)))]
    resource = {"attributes": attributes({"host.name": "n1", "service.name": "dcgm"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": "s"}, "metrics": found}]}]}
