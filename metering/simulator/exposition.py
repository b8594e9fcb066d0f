"""An engine's `/metrics`, as vLLM 0.33 writes it (vllm/v1/metrics/loggers.py): names, help texts and labels are its own.

Of histograms there is the bucket +Inf with sum and count: nobody who reads them here asks for more.
"""

from collections.abc import Iterator

from metering.simulator.counters import COUNTERS, Counters, Gauges
from metering.simulator.engines import EngineName
from metering.simulator.scheduling import BLOCK

_COUNTERS = {
    "num_preemptions": ("preemptions", "Cumulative number of preemption from the engine."),
    "prompt_tokens": ("prompt_tokens", "Number of prefill tokens processed."),
    "prompt_tokens_cached": ("cached_prompt_tokens", "Number of cached prompt tokens (local + external)."),
    "generation_tokens": ("generation_tokens", "Number of generation tokens processed."),
    "prefix_cache_queries": ("prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens."),
    "prefix_cache_hits": ("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens."),
}
_HISTOGRAMS = {
    "time_to_first_token_seconds": ("ttft", "Histogram of time to first token in seconds."),
    "inter_token_latency_seconds": ("itl", "Histogram of inter-token latency in seconds."),
    "request_time_per_output_token_seconds": ("tpot", "Histogram of time_per_output_token_seconds per request."),
    "e2e_request_latency_seconds": ("e2e", "Histogram of e2e request latency in seconds."),
    "request_queue_time_seconds": ("queue", "Histogram of time spent in WAITING phase for request."),
    "request_prefill_time_seconds": ("prefill", "Histogram of time spent in PREFILL phase for request."),
    "request_decode_time_seconds": ("decode", "Histogram of time spent in DECODE phase for request."),
}
_REASONS = ("stop", "length", "abort")


def metrics_text(name: EngineName, index: int, counters: Counters, gauges: Gauges, kv_tokens: float) -> str:
    """What the engine at `index` answers at this moment."""
    counted = dict(zip(COUNTERS, counters.shown[index].tolist(), strict=True))
    labels = f'engine="0",model_name="{name.setup.model.name}"'
    now = {"running": gauges.running, "waiting": gauges.waiting, "kv": gauges.kv_cache_usage}
    return "\n".join(
        [
            *_gauges(labels, {what: float(values[index]) for what, values in now.items()}, kv_tokens),
            *_counters(labels, counted),
            *_histograms(labels, counted),
            "",
        ]
    )


def _gauges(labels: str, now: dict[str, float], kv_tokens: float) -> Iterator[str]:
    yield from _declared("num_requests_running", "gauge", "Number of requests in model execution batches.")
    yield f"vllm:num_requests_running{{{labels}}} {now['running']}"
    yield from _declared("num_requests_waiting", "gauge", "Number of requests waiting to be processed.")
    yield f"vllm:num_requests_waiting{{{labels}}} {now['waiting']}"
    yield from _declared("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.")
    yield f"vllm:kv_cache_usage_perc{{{labels}}} {now['kv']}"
    blocks = f'block_size="{BLOCK:.0f}",engine="0",num_gpu_blocks="{kv_tokens / BLOCK:.0f}"'
    yield from _declared("cache_config_info", "gauge", "Information of the LLMEngine CacheConfig")
    yield f"vllm:cache_config_info{{{blocks}}} 1.0"


def _counters(labels: str, counted: dict[str, float]) -> Iterator[str]:
    for name, (of, help_text) in _COUNTERS.items():
        yield from _declared(f"{name}_total", "counter", help_text)
        yield f"vllm:{name}_total{{{labels}}} {counted[of]}"
    yield from _declared("request_success_total", "counter", "Count of successfully processed requests.")
    for reason in _REASONS:
        yield f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {counted[f"finished_{reason}"]}'


def _histograms(labels: str, counted: dict[str, float]) -> Iterator[str]:
    for name, (of, help_text) in _HISTOGRAMS.items():
        yield from _declared(name, "histogram", help_text)
        yield f'vllm:{name}_bucket{{{labels},le="+Inf"}} {counted[f"{of}_count"]}'
        yield f"vllm:{name}_count{{{labels}}} {counted[f'{of}_count']}"
        yield f"vllm:{name}_sum{{{labels}}} {counted[f'{of}_sum_s']}"


def _declared(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP vllm:{name} {help_text}"
    yield f"# TYPE vllm:{name} {kind}"
