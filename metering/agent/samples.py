"""What a node reports: one sample of a GPU, or of an engine, at one moment. The names are those on the wire and in ClickHouse.

None means that the source does not have the reading; nothing is ever filled in for it. Counters are cumulative since whatever their
source began to count (the driver, the engine), and may begin anew.
"""

from dataclasses import asdict, dataclass
from typing import Any

GPU, ENGINE = "gpu", "engine"
# The reasons for which a GPU clocks down that are a limit, not idleness: NVML's clocks event reasons, as words.
THROTTLE_REASONS = ("sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "power_brake")
ENGINE_KINDS = ("vllm", "sglang", "tgi", "tensorrt_llm", "triton")
GPU_SOURCES = ("nvml", "dcgm", "nvidia_smi", "triton", "simulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSample:
    """A physical GPU, or (`mig` not empty) one of its MIG instances, which has no power or energy of its own.

    Shares are 0 to 1. `gpu` is the UUID of the physical GPU. `gpu_utilization` says only that some kernel ran; saturation reads
    `sm_active`, `tensor_active` and `dram_active`.
    """

    time: int  # when it was read: milliseconds since 1970, UTC
    node: str
    gpu: str
    source: str  # one of GPU_SOURCES
    index: int | None = None
    mig: str = ""  # "<GPU instance>/<compute instance>"
    name: str = ""  # the product, such as NVIDIA H100 80GB HBM3
    region: str = ""
    cluster: str = ""
    simulated: bool = False
    gpu_utilization: float | None = None
    memory_utilization: float | None = None
    sm_active: float | None = None
    sm_occupancy: float | None = None
    tensor_active: float | None = None
    dram_active: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    energy_j: float | None = None  # counter
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: float | None = None
    memory_temperature_c: float | None = None
    throttle: tuple[str, ...] | None = (
        None  # of THROTTLE_REASONS; None where the source does not tell, () where none holds
    )
    xid_errors: int | None = None  # counter: XID events that the agent or exporter has seen
    xid_last: int | None = None  # the code of the latest one, 0 if there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSample:
    """An inference engine. `prompt_tokens` includes `cached_prompt_tokens`; the difference was computed.

    `*_sum_s` and `*_count` are the two counters of a histogram. An engine that does not answer is a sample with `up` false.
    """

    time: int
    node: str
    engine: str  # unique on its node; the same name as in the `engine` field of its requests' events
    engine_kind: str  # one of ENGINE_KINDS
    up: bool = True
    model: str = ""
    region: str = ""
    cluster: str = ""
    simulated: bool = False
    gpus: tuple[str, ...] = ()  # UUIDs of the GPUs that it runs on
    running: float | None = None  # requests in the batch
    waiting: float | None = None  # requests in the queue
    kv_cache_usage: float | None = None  # 0 to 1
    preemptions: int | None = None  # counters from here on
    prompt_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    generation_tokens: int | None = None
    prefix_cache_queries: int | None = None
    prefix_cache_hits: int | None = None
    requests_finished: int | None = None  # of all reasons, aborted included
    requests_aborted: int | None = None
    ttft_sum_s: float | None = None
    ttft_count: int | None = None
    itl_sum_s: float | None = None
    itl_count: int | None = None
    e2e_sum_s: float | None = None
    e2e_count: int | None = None
    queue_sum_s: float | None = None
    queue_count: int | None = None
    prefill_sum_s: float | None = None
    prefill_count: int | None = None
    decode_sum_s: float | None = None
    decode_count: int | None = None


Sample = GpuSample | EngineSample


def wire(sample: Sample) -> dict[str, Any]:
    """The JSON object that is sent for it: what is None or empty is left out, `kind` says which of the two it is."""
    kind = GPU if isinstance(sample, GpuSample) else ENGINE
    # Compared by identity: 0 is a reading, although it equals False.
    given = {
        name: value
        for name, value in asdict(sample).items()
        if value is not None and value is not False and value != ""
    }
    if isinstance(sample, EngineSample):
        given["up"] = sample.up
        given["gpus"] = list(sample.gpus)
    elif sample.throttle is not None:
        given["throttle"] = list(sample.throttle)
    return {"kind": kind, **given}
