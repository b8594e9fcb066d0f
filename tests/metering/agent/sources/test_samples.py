"""Samples on the wire."""

from metering.agent.samples import EngineSample, GpuSample, wire


def test_zero_is_a_reading_and_is_sent() -> None:
    sent = wire(GpuSample(time=1, node="n", gpu="GPU-1", source="nvml", index=0, gpu_utilization=0.0, xid_errors=0))
    assert (sent["index"], sent["gpu_utilization"], sent["xid_errors"]) == (0, 0.0, 0)
    sent = wire(EngineSample(time=1, node="n", engine="e", engine_kind="vllm", running=0.0, requests_aborted=0))
    assert (sent["running"], sent["requests_aborted"]) == (0.0, 0)


def test_what_is_unknown_is_not_sent() -> None:
    assert wire(GpuSample(time=1, node="n", gpu="GPU-1", source="nvml")) == {
        "kind": "gpu",
        "time": 1,
        "node": "n",
        "gpu": "GPU-1",
        "source": "nvml",
    }


def test_no_throttling_is_told_from_throttling_that_is_unknown() -> None:
    unknown = wire(GpuSample(time=1, node="n", gpu="GPU-1", source="nvml", throttle=None))
    none = wire(GpuSample(time=1, node="n", gpu="GPU-1", source="nvml", throttle=()))
    assert "throttle" not in unknown
    assert none["throttle"] == []


def test_an_engine_that_is_down_says_so() -> None:
    sent = wire(EngineSample(time=1, node="n", engine="e", engine_kind="vllm", up=False))
    assert (sent["up"], sent["gpus"]) == (False, [])
