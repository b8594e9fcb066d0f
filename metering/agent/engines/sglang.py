"""SGLang with `--enable-metrics` (python/sglang/srt/observability/metrics_collector.py of 0.5).

It counts a request's tokens when the request ends. `sglang:utilization` is not read: it stays at 0.
"""

from metering.agent.engines.kinds import Combine, Kind, Metric

KIND = Kind(
    prefixes=("sglang:", "sglang_"),
    gauges={
        "running": Metric(("num_running_reqs",)),
        "waiting": Metric(("num_queue_reqs",)),
        "kv_cache_usage": Metric(("token_usage",), Combine.FULLEST),
    },
    counters={
        # Retracted: its KV cache was taken from a running request, which is computed again later.
        "preemptions": Metric(("num_retracted_requests_total", "num_retracted_reqs_total"), expected=False),
        "prompt_tokens": Metric(("prompt_tokens_total",)),
        "cached_prompt_tokens": Metric(("cached_tokens_total",)),  # of all cache_source
        "generation_tokens": Metric(("generation_tokens_total",)),
        "requests_finished": Metric(("num_requests_total",)),
        "requests_aborted": Metric(("num_aborted_requests_total",)),
    },
    histograms={
        "ttft": Metric(("time_to_first_token_seconds",)),
        "itl": Metric(("inter_token_latency_seconds", "time_per_output_token_seconds")),
        "e2e": Metric(("e2e_request_latency_seconds",)),
        "queue": Metric(("queue_time_seconds",)),
    },
)
