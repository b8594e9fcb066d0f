"""Hugging Face's text-generation-inference (docs/source/reference/metrics.md).

It tells nothing of its KV cache, of cached or aborted requests. Its time per token is a mean per request, not between tokens.
"""

from metering.agent.engines.kinds import Kind, Metric

KIND = Kind(
    prefixes=("tgi_",),
    gauges={"running": Metric(("batch_current_size",)), "waiting": Metric(("queue_size",))},
    counters={
        "prompt_tokens": Metric(("request_input_length_sum",)),
        "generation_tokens": Metric(("request_generated_tokens_sum",)),
        "requests_finished": Metric(("request_success",)),
    },
    histograms={"e2e": Metric(("request_duration",)), "queue": Metric(("request_queue_duration",))},
)
