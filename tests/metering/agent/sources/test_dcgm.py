"""GPUs read from a dcgm-exporter."""

import httpx
import pytest

from metering.agent.gpu.dcgm import DcgmSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from tests.metering.agent.sources.dcgm_texts import A100_MIG, H100, labels, text
from tests.metering.agent.sources.served import Served

URL = "http://127.0.0.1:9400/metrics"
# Readings that an exporter tells only where somebody switched them on: not the subject of most tests.
DEFAULT_OFF = (
    "power_limit_w: DCGM_FI_DEV_ENFORCED_POWER_LIMIT or DCGM_FI_DEV_POWER_MGMT_LIMIT is not exported",
    "sm_active: DCGM_FI_PROF_SM_ACTIVE is not exported",
    "sm_occupancy: DCGM_FI_PROF_SM_OCCUPANCY is not exported",
    "throttle: DCGM_FI_DEV_CLOCKS_EVENT_REASONS or DCGM_FI_DEV_CLOCK_THROTTLE_REASONS is not exported",
)


def read(place: Place, served: str) -> tuple[list[GpuSample], tuple[str, ...]]:
    source = DcgmSource(place, URL, Served(served).http)
    samples = list(source.read(1_700_000_000_000))
    return samples, tuple(source.problems())


def with_values(**values: str) -> str:
    return text((labels(0, "GPU-1"), {**H100, **values}))


def test_it_reads_every_field_in_the_units_of_a_sample(place: Place) -> None:
    samples, problems = read(place, with_values())
    assert samples == [
        GpuSample(
            time=1_700_000_000_000,
            node="node-7",
            region="eu-west",
            cluster="blue",
            gpu="GPU-1",
            source="dcgm",
            index=0,
            name="NVIDIA H100 80GB HBM3",
            gpu_utilization=0.97,
            memory_utilization=0.41,
            sm_active=0.8125,
            sm_occupancy=0.25,
            tensor_active=0.40625,
            dram_active=0.5625,
            memory_used_bytes=60_928 << 20,
            memory_total_bytes=81_920 << 20,
            power_w=512.345,
            power_limit_w=700.0,
            energy_j=123_456.789,
            sm_clock_mhz=1980,
            memory_clock_mhz=2619,
            temperature_c=61.0,
            memory_temperature_c=72.0,
            throttle=("sw_power_cap",),
            xid_last=0,
        )
    ]
    assert problems == ()


def test_what_is_off_by_default_is_none_and_named(place: Place) -> None:
    off = {"DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_OCCUPANCY"}
    off |= {"DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"}
    ((sample,), problems) = read(
        place, text((labels(0, "GPU-1"), {name: value for name, value in H100.items() if name not in off}))
    )
    assert (sample.sm_active, sample.power_limit_w, sample.throttle) == (None, None, None)
    assert sample.tensor_active == 0.40625
    assert set(problems) == set(DEFAULT_OFF)


def test_a_reading_that_one_of_two_gpus_has_is_not_missing(place: Place) -> None:
    without = {name: value for name, value in H100.items() if name != "DCGM_FI_DEV_MEMORY_TEMP"}
    samples, problems = read(place, text((labels(0, "GPU-1"), H100), (labels(1, "GPU-2"), without)))
    assert [sample.memory_temperature_c for sample in samples] == [72.0, None]
    assert problems == ()


@pytest.mark.parametrize("host", ["Hostname", "hostname"])
def test_both_spellings_of_the_host_are_known(place: Place, host: str) -> None:
    """A text of several hosts is taken for this node's GPUs only; that of one host whatever it calls itself."""
    one = text((labels(0, "GPU-1", host=host, node="ip-10-0-0-7"), H100))
    samples, problems = read(place, one)
    assert [sample.gpu for sample in samples] == ["GPU-1"]
    assert problems == ()
    two = text(*((labels(0, f"GPU-{node}", host=host, node=node), H100) for node in ("node-6", "node-7")))
    samples, problems = read(place, two)
    assert [(sample.gpu, sample.node) for sample in samples] == [("GPU-node-7", "node-7")]
    assert problems == ("the text is of 2 hosts: only GPUs of node-7 are taken",)


@pytest.mark.parametrize(
    "blank",
    [
        "2147483632",
        "2147483635",
        "9223372036854775792",
        "9223372036854775794",
        "9.223372036854776e+18",
        "140737488355328",
    ],
)
@pytest.mark.parametrize(
    ("metric", "field"),
    [
        ("DCGM_FI_DEV_POWER_USAGE", "power_w"),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "energy_j"),
        ("DCGM_FI_PROF_SM_ACTIVE", "sm_active"),
        ("DCGM_FI_DEV_MEMORY_TEMP", "memory_temperature_c"),
        ("DCGM_FI_DEV_FB_USED", "memory_used_bytes"),
        ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "throttle"),
    ],
)
def test_dcgms_words_for_no_value_are_none_without_a_problem(place: Place, metric: str, field: str, blank: str) -> None:
    ((sample,), problems) = read(place, with_values(**{metric: blank}))
    assert getattr(sample, field) is None
    assert problems == ()


@pytest.mark.parametrize(
    ("metric", "written", "problem"),
    [
        ("DCGM_FI_DEV_POWER_USAGE", "-12.5", "power_w: negative, left out (GPU 0)"),
        ("DCGM_FI_DEV_POWER_USAGE", "NaN", "power_w: not a number, left out (GPU 0)"),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "-1", "energy_j: negative, left out (GPU 0)"),
        ("DCGM_FI_PROF_SM_ACTIVE", "1.5", "sm_active: too high to be true, left out (GPU 0)"),
        ("DCGM_FI_DEV_GPU_TEMP", "-300", "temperature_c: too low to be true, left out (GPU 0)"),
    ],
)
def test_what_cannot_be_true_is_none_and_a_problem(place: Place, metric: str, written: str, problem: str) -> None:
    ((sample,), problems) = read(place, with_values(**{metric: written}))
    assert getattr(sample, problem.partition(":")[0]) is None
    assert sample.sm_clock_mhz == 1980
    assert problems == (problem,)


def test_a_share_a_rounding_above_one_is_kept_as_it_was_measured(place: Place) -> None:
    ((sample,), problems) = read(place, with_values(DCGM_FI_PROF_DRAM_ACTIVE="1.000300"))
    assert sample.dram_active == 1.0003
    assert problems == ()


def test_an_energy_counter_larger_than_32_bits_is_read(place: Place) -> None:
    ((sample,), _) = read(place, with_values(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION="98765432109876"))
    assert sample.energy_j == 98_765_432_109.876


def test_the_last_xid_is_a_code_and_the_counter_is_the_sum_over_codes(place: Place) -> None:
    lines = text((labels(0, "GPU-1"), {**H100, "DCGM_FI_DEV_XID_ERRORS": "94"}), (labels(1, "GPU-2"), H100))
    lines += "# TYPE DCGM_EXP_XID_ERRORS_TOTAL counter\n"
    for xid, count in (("31", 2), ("94", 1)):
        lines += f"DCGM_EXP_XID_ERRORS_TOTAL{{{labels(0, 'GPU-1', xid=xid)}}} {count}\n"
    samples, problems = read(place, lines)
    assert [(sample.xid_errors, sample.xid_last) for sample in samples] == [(3, 94), (None, 0)]
    assert problems == ()


def test_mig_instances_and_their_gpu_where_the_exporter_shows_the_instances_only(place: Place) -> None:
    parts = [
        (
            labels(0, "GPU-1", GPU_I_PROFILE=profile, GPU_I_ID=instance),
            {
                **A100_MIG,
                "DCGM_FI_PROF_GR_ENGINE_ACTIVE": active,
                "DCGM_FI_DEV_FB_USED": "100",
                "DCGM_FI_DEV_FB_FREE": "900",
            },
        )
        for profile, instance, active in (("1g.5gb", "13", "0.5"), ("3g.20gb", "2", "0.25"))
    ]
    (whole, first, second), _ = read(place, text(*parts))
    assert (whole.mig, whole.power_w, whole.energy_j, whole.sm_clock_mhz) == ("", 188.5, 5_000.0, 1410)
    # What an instance does is not what the GPU does.
    assert (whole.gpu_utilization, whole.memory_used_bytes) == (None, None)
    assert (first.mig, first.name, first.gpu_utilization) == ("13/0", "NVIDIA H100 80GB HBM3 MIG 1g.5gb", 0.5)
    assert (second.mig, second.gpu_utilization, second.memory_total_bytes) == ("2/0", 0.25, 1000 << 20)
    assert (first.power_w, first.energy_j, first.temperature_c, first.sm_clock_mhz) == (None, None, None, None)
    assert {sample.gpu for sample in (whole, first, second)} == {"GPU-1"}


def test_mig_instances_beside_the_gpu_itself(place: Place) -> None:
    part = (labels(0, "GPU-1", GPU_I_PROFILE="1g.10gb", GPU_I_ID="5"), {"DCGM_FI_PROF_SM_ACTIVE": "0.5"})
    (whole, instance), _ = read(place, text((labels(0, "GPU-1"), H100), part))
    assert (whole.mig, whole.sm_active, whole.power_w) == ("", 0.8125, 512.345)
    assert (instance.mig, instance.sm_active, instance.power_w) == ("5/0", 0.5, None)


def test_an_older_exporter_is_known_by_its_older_names(place: Place) -> None:
    renamed = {
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS",
        "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": "DCGM_FI_DEV_POWER_MGMT_LIMIT",
    }
    older = {renamed.get(name, name): value for name, value in H100.items() if name != "DCGM_FI_DEV_FB_RESERVED"}
    ((sample,), problems) = read(place, text((labels(0, "GPU-1").replace("UUID=", "uuid="), older)))
    assert (sample.gpu, sample.throttle, sample.power_limit_w) == ("GPU-1", ("sw_power_cap",), 700.0)
    assert sample.memory_total_bytes == (60_928 + 20_480) << 20
    assert problems == ()


def test_a_series_that_names_no_gpu_is_a_problem(place: Place) -> None:
    samples, problems = read(place, with_values() + 'DCGM_FI_DEV_GPU_TEMP{modelName="NVIDIA B200"} 40\n')
    assert [sample.temperature_c for sample in samples] == [61.0]
    assert problems == ("DCGM_FI_DEV_GPU_TEMP: a series names no GPU (UUID, uuid)",)


def test_an_exporter_that_does_not_answer_or_shows_nothing_is_a_problem(place: Place) -> None:
    served = Served("# no metrics\n")
    source = DcgmSource(place, URL, served.http)
    assert source.read(1) == ()
    assert source.problems() == ("it exports no GPU",)
    served.error = lambda _: httpx.ConnectError("Connection refused")
    assert source.read(2) == ()
    assert source.problems() == ("it does not answer: Connection refused",)
    assert source.label == f"dcgm {URL}"
