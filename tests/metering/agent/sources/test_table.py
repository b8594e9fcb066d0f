"""One reading for a person to read."""

from metering.agent.samples import EngineSample, GpuSample
from metering.agent.table import render

GPU = GpuSample(
    time=1,
    node="n",
    gpu="GPU-4812b59b-1f1a-430f-d8a4-69d2ee8c18bb",
    source="nvml",
    index=0,
    name="NVIDIA H100 80GB HBM3",
    gpu_utilization=0.98,
    sm_active=0.0,
    memory_used_bytes=60 << 30,
    memory_total_bytes=80 << 30,
    power_w=512.345,
    power_limit_w=700.0,
    energy_j=123_456.789,
    temperature_c=61.0,
    sm_clock_mhz=1980,
    memory_clock_mhz=2619,
    throttle=("sw_power_cap",),
    xid_errors=2,
    xid_last=31,
)
ENGINE = EngineSample(
    time=1,
    node="n",
    engine="llama",
    engine_kind="vllm",
    model="llama-70b",
    gpus=("GPU-4812b59b-1f1a-430f-d8a4-69d2ee8c18bb",),
    running=17.0,
    waiting=0.0,
    kv_cache_usage=0.625,
    prompt_tokens=59_150_900,
    ttft_sum_s=2.25,
    ttft_count=45,
)


def cells(line: str) -> list[str]:
    return line.split()


def test_a_gpu_is_one_line_with_units_above_it() -> None:
    titles, units, row, *_ = render([GPU], []).splitlines()
    assert titles.split()[:6] == ["GPU", "MIG", "UUID", "product", "from", "power"]
    assert units.split()[:3] == ["W", "W", "J"]
    for written in (
        "GPU-4812b59b",
        "512.3",
        "700",
        "123,457",
        "98",
        "60.0/80.0",
        "61/-",
        "1,980/2,619",
        "sw_power_cap",
    ):
        assert written in cells(row)
    assert row.endswith("2 (last 31)")


def test_zero_is_a_reading_and_nothing_is_a_dash() -> None:
    row = cells(render([GPU], []).splitlines()[2])
    # busy, SM, occupancy, tensor, DRAM
    assert row[row.index("98") : row.index("98") + 5] == ["98", "0", "-", "-", "-"]


def test_columns_stand_below_each_other() -> None:
    other = GpuSample(time=1, node="n", gpu="GPU-2", source="nvml", index=11, power_w=9.0, energy_j=1e9)
    lines = render([GPU, other], []).splitlines()[:4]
    ends = [line.index(word) + len(word) for line, word in zip(lines, ("power", "W", "512.3", "9.0"), strict=True)]
    assert len(set(ends)) == 1


def test_an_engine_has_its_counts_and_its_mean_times() -> None:
    text = render([ENGINE], [])
    assert text.startswith("no GPU\n")
    row = next(line for line in text.splitlines() if "llama-70b" in line)
    assert cells(row) == [
        *["llama", "vllm", "yes", "llama-70b", "17", "0", "62", "-", "59,150,900", "-", "-", "-", "-", "GPU-4812b59b"]
    ]
    times = next(line for line in text.splitlines() if line.startswith("llama ") and "vllm" not in line)
    assert cells(times) == ["llama", "50.0", "-", "-", "-", "-", "-"]


def test_an_engine_that_is_down_stands_out() -> None:
    down = EngineSample(time=1, node="n", engine="llama", engine_kind="vllm", up=False)
    assert " NO " in render([down], [])


def test_problems_stand_below_and_their_absence_is_said() -> None:
    assert render([], ["nvml: NVML cannot be used: Driver Not Loaded"]) == (
        "no GPU\n\nno engine\n\nProblems\n- nvml: NVML cannot be used: Driver Not Loaded\n"
    )
    assert render([], []) == "no GPU\n\nno engine\n\nno problems\n"
