"""TensorRT-LLM's `trtllm-serve` (tensorrt_llm/metrics/collector.py); older releases have names without the prefix.

It has no preemptions, counts its prefix cache in blocks and not tokens, and its time per output token is a mean per request, not between
tokens. A name is declared from the beginning and has a series from its first request on.
"""

from metering.agent.engines.kinds import Combine, Kind, Metric

KIND = Kind(
    prefixes=("trtllm_", "trtllm:", ""),
    gauges={
        "running": Metric(("num_requests_running",)),
        "waiting": Metric(("num_requests_waiting",)),
        "kv_cache_usage": Metric(("kv_cache_utilization",), Combine.FULLEST),
    },
    counters={
        "prompt_tokens": Metric(("prompt_tokens_total",)),
        "cached_prompt_tokens": Metric(("prompt_cached_tokens_total",), expected=False),
        "generation_tokens": Metric(("generation_tokens_total",)),
        "requests_finished": Metric(("request_success_total",)),
        # Its series is there only once a request was cancelled.
        "requests_aborted": Metric(
            ("request_success_total",), where={"finished_reason": frozenset(("cancelled",))}, expected=False
        ),
    },
    histograms={
        "ttft": Metric(("time_to_first_token_seconds",)),
        "e2e": Metric(("e2e_request_latency_seconds",)),
        "queue": Metric(("request_queue_time_seconds",)),
        "prefill": Metric(("request_prefill_time_seconds",), expected=False),
        "decode": Metric(("request_decode_time_seconds",), expected=False),
    },
)
