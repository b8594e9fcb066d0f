"""vLLM 0.33 (vllm/v1/metrics/loggers.py), its older names, and its prefixes under Ray (ray_wrappers.py, where newer ones have no `:`)."""

from metering.agent.engines.kinds import Combine, Kind, Metric

KIND = Kind(
    prefixes=("vllm:", "ray_vllm:", "ray_vllm_"),
    gauges={
        "running": Metric(("num_requests_running",)),
        # Version 0 swapped requests out to main memory, where they waited for their turn as well.
        "waiting": Metric(("num_requests_waiting",), plus=("num_requests_swapped",)),
        "kv_cache_usage": Metric(("kv_cache_usage_perc", "gpu_cache_usage_perc"), Combine.FULLEST),
    },
    counters={
        "preemptions": Metric(("num_preemptions_total",)),
        "prompt_tokens": Metric(("prompt_tokens_total",)),
        "cached_prompt_tokens": Metric(("prompt_tokens_cached_total",)),
        "generation_tokens": Metric(("generation_tokens_total",)),
        "prefix_cache_queries": Metric(("prefix_cache_queries_total", "gpu_prefix_cache_queries_total")),
        "prefix_cache_hits": Metric(("prefix_cache_hits_total", "gpu_prefix_cache_hits_total")),
        # "success" in spite of its name: it counts requests by every reason for which they ended.
        "requests_finished": Metric(("request_success_total",)),
        "requests_aborted": Metric(("request_success_total",), where={"finished_reason": frozenset(("abort",))}),
    },
    histograms={
        "ttft": Metric(("time_to_first_token_seconds",)),
        "itl": Metric(("inter_token_latency_seconds", "time_per_output_token_seconds")),
        "e2e": Metric(("e2e_request_latency_seconds",)),
        "queue": Metric(("request_queue_time_seconds",)),
        "prefill": Metric(("request_prefill_time_seconds",)),
        "decode": Metric(("request_decode_time_seconds",)),
    },
)
