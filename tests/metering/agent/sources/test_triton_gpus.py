"""GPUs as Triton tells of them."""

from metering.agent.gpu.triton import TritonGpuSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from tests.metering.agent.sources import engine_texts
from tests.metering.agent.sources.served import Served

GPU = "GPU-340cec52-80ba-c0df-8511-5f9680aae0ed"


def test_it_reads_watts_joules_and_shares(place: Place) -> None:
    source = TritonGpuSource(place, "http://127.0.0.1:8002/metrics", Served(engine_texts.TRITON).http)
    assert source.read(7) == [
        GpuSample(
            time=7,
            node="node-7",
            region="eu-west",
            cluster="blue",
            gpu=GPU,
            source="triton",
            gpu_utilization=0.85,
            memory_used_bytes=974_913_536,
            memory_total_bytes=16_101_933_056,
            power_w=55.137,
            power_limit_w=300.0,
            energy_j=9380.053,
        )
    ]
    assert source.problems() == ()


def test_what_it_does_not_export_is_named(place: Place) -> None:
    text = engine_texts.TRITON.replace("nv_energy_consumption", "nv_energy").replace("} 55.137", "} nan")
    source = TritonGpuSource(place, "http://127.0.0.1:8002/metrics", Served(text).http)
    (sample,) = source.read(1)
    assert (sample.energy_j, sample.power_w) == (None, None)
    assert source.problems() == (
        "energy_j: nv_energy_consumption is not exported",
        f"power_w: not a number, left out (GPU {GPU})",
    )
