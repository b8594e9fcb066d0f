"""Triton with the TensorRT-LLM backend (docs/user_guide/metrics.md of Triton; inflight_batcher_llm of tensorrtllm_backend).

With the vLLM backend Triton exports vLLM's own metrics: name such an engine `vllm`.

A request passes through several models of the pipeline (ensemble, preprocessing, tensorrt_llm, postprocessing), and each counts it. Only
the one that generates is read: the model that has the backend's metrics, else the one that the configuration names, else the only one.
"""

from collections.abc import Set
from dataclasses import replace

from metering.agent.engines.kinds import Combine, Kind, Metric
from metering.agent.engines.spec import EngineSpec
from metering.agent.exposition import Exposition

_LABEL = "model"
_OF_THE_BACKEND = ("nv_trt_llm_request_metrics", "nv_trt_llm_kv_cache_block_metrics", "nv_llm_output_token_len_sum")


def narrow(exposition: Exposition, spec: EngineSpec) -> tuple[Exposition, str | None]:
    model = _generating(exposition, spec.model)
    if model is None:
        return replace(exposition, series={}), "it serves several models: name the one that generates (model)"
    kept = {
        name: [one for one in series if one.labels.get(_LABEL) == model] for name, series in exposition.series.items()
    }
    return replace(exposition, series=kept), None


def _generating(exposition: Exposition, named: str) -> str | None:
    for models in (_models(exposition, _OF_THE_BACKEND), _models(exposition, exposition.series.keys())):
        if named in models:
            return named
        if len(models) == 1:
            return next(iter(models))
    return None


def _models(exposition: Exposition, names: Set[str] | tuple[str, ...]) -> frozenset[str]:
    return frozenset(one.labels.get(_LABEL, "") for name in names for one in exposition.series.get(name, ()))


def _request(type_: str) -> Metric:
    return Metric(("nv_trt_llm_request_metrics",), where={"request_type": frozenset((type_,))})


KIND = Kind(
    prefixes=("",),
    gauges={
        "running": _request("scheduled"),
        "waiting": Metric(
            ("nv_trt_llm_request_metrics", "nv_inference_pending_request_count"),
            where={"request_type": frozenset(("waiting", ""))},
        ),
        "kv_cache_usage": Metric(
            ("nv_trt_llm_kv_cache_block_metrics",),
            Combine.FULLEST,
            where={"kv_cache_block_type": frozenset(("fraction",))},
        ),
    },
    counters={
        "prompt_tokens": Metric(("nv_llm_input_token_len_sum",), expected=False),
        "generation_tokens": Metric(("nv_llm_output_token_len_sum",), expected=False),
        "requests_finished": Metric(("nv_inference_request_success",)),
        # Cumulative, in microseconds, over the requests that succeeded.
        "e2e_sum_s": Metric(("nv_inference_request_duration_us",), per=1_000_000),
        "e2e_count": Metric(("nv_inference_request_success",)),
        "queue_sum_s": Metric(("nv_inference_queue_duration_us",), per=1_000_000),
        "queue_count": Metric(("nv_inference_request_success",)),
    },
    histograms={
        # Only where Triton runs with --metrics-config histogram_latencies=true
        "ttft": Metric(("nv_inference_first_response_histogram_ms",), per=1000, expected=False),
    },
    model_label=_LABEL,
    narrow=narrow,
)
