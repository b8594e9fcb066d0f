"""GPUs out of what nvidia-smi writes."""

import re
import subprocess
from pathlib import Path

import pytest

from metering.agent.gpu.nvidia_smi import SmiSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from tests.metering.agent.sources.smi_texts import TEXT_590, XML_470, XML_590

CAPTURES = Path(__file__).parents[5] / "shared/traces/nvidia_smi"


def read(place: Place, output: str, status: int = 0) -> tuple[list[GpuSample], tuple[str, ...]]:
    source = SmiSource(place, lambda: (status, output))
    samples = list(source.read(1_700_000_000_000))
    return samples, tuple(source.problems())


def test_it_reads_every_field_of_its_xml(place: Place) -> None:
    samples, problems = read(place, XML_590)
    assert samples[0] == GpuSample(
        time=1_700_000_000_000,
        node="node-7",
        region="eu-west",
        cluster="blue",
        gpu="GPU-1",
        source="nvidia_smi",
        index=0,
        name="NVIDIA H100 80GB HBM3",
        gpu_utilization=0.97,
        memory_utilization=0.41,
        memory_used_bytes=19_818 << 20,
        memory_total_bytes=81_559 << 20,
        power_w=629.45,
        power_limit_w=700.0,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=61.0,
        memory_temperature_c=72.0,
        throttle=("sw_power_cap", "power_brake"),
    )
    assert problems == ()


def test_not_available_is_none_without_a_problem(place: Place) -> None:
    samples, problems = read(place, XML_590)
    parent = samples[1]
    assert (parent.gpu, parent.index, parent.mig, parent.power_w) == ("GPU-2", 1, "", 432.21)
    assert (parent.gpu_utilization, parent.memory_utilization, parent.power_limit_w) == (None, None, None)
    assert (parent.throttle, parent.temperature_c, parent.energy_j) == (None, None, None)
    assert problems == ()


def test_each_mig_instance_is_a_sample_beside_that_of_the_gpu(place: Place) -> None:
    samples, _ = read(place, XML_590)
    assert [(sample.gpu, sample.mig) for sample in samples] == [
        ("GPU-1", ""),
        ("GPU-2", ""),
        ("GPU-2", "2/0"),
        ("GPU-2", "9/1"),
    ]
    assert (samples[2].memory_used_bytes, samples[3].memory_total_bytes) == (11_091 << 20, 9_984 << 20)
    assert (samples[2].power_w, samples[2].power_limit_w) == (None, None)


def test_the_names_of_older_drivers(place: Place) -> None:
    ((sample,), problems) = read(place, XML_470)
    assert (sample.gpu, sample.power_w, sample.power_limit_w) == ("GPU-a100", 245.5, 350.0)
    assert sample.throttle == ("hw_slowdown", "hw_thermal")
    assert problems == ()


def test_its_text_is_read_as_its_xml(place: Place) -> None:
    samples, problems = read(place, TEXT_590)
    parent, first, second, other = samples
    assert (parent.gpu, parent.index, parent.name) == ("GPU-1", 0, "NVIDIA H100 80GB HBM3")
    assert (parent.memory_used_bytes, parent.memory_total_bytes) == (11_125 << 20, 81_559 << 20)
    assert (parent.power_w, parent.power_limit_w, parent.gpu_utilization) == (432.21, 700.0, None)
    assert (parent.temperature_c, parent.memory_temperature_c) == (53.0, 58.0)
    assert (parent.sm_clock_mhz, parent.memory_clock_mhz) == (1980, 2619)
    assert parent.throttle == ("hw_slowdown", "hw_thermal")
    assert [(part.gpu, part.mig, part.memory_used_bytes) for part in (first, second)] == [
        ("GPU-1", "2/0", 11_091 << 20),
        ("GPU-1", "3/1", 17 << 20),
    ]
    assert (other.gpu, other.index, other.gpu_utilization, other.power_w, other.power_limit_w) == (
        "GPU-2",
        1,
        0.12,
        30.25,
        72.0,
    )
    assert problems == ()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("GPU is lost", "power_w: nvidia-smi says 'GPU is lost' (GPU 0)"),
        ("Unknown Error", "power_w: nvidia-smi says 'Unknown Error' (GPU 0)"),
        ("-5.00 W", "power_w: negative, left out (GPU 0)"),
        ("629.45 mW", "power_w: nvidia-smi says '629.45 mW' (GPU 0)"),
        ("nan W", "power_w: not a number, left out (GPU 0)"),
    ],
)
def test_what_is_no_reading_is_none_and_a_problem(place: Place, written: str, problem: str) -> None:
    samples, problems = read(place, XML_590.replace("629.45 W", written))
    assert samples[0].power_w is None
    assert samples[0].sm_clock_mhz == 1980
    assert problems == (problem,)


def test_a_gpu_without_uuid_is_a_problem(place: Place) -> None:
    samples, problems = read(place, XML_590.replace("<uuid>GPU-1</uuid>", "<uuid>N/A</uuid>"))
    assert {sample.gpu for sample in samples} == {"GPU-2"}
    assert problems == ("cannot be read: it has no UUID (GPU 0)",)


def test_a_run_that_fails_says_why(place: Place) -> None:
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake sure that ...\n"
    samples, problems = read(place, said, 9)
    assert samples == []
    assert problems == (
        "nvidia-smi ends with status 9: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
    )


def test_a_run_that_fails_for_one_gpu_still_tells_of_the_others(place: Place) -> None:
    samples, problems = read(place, XML_470, 15)
    assert [sample.gpu for sample in samples] == ["GPU-a100"]
    assert problems == ("nvidia-smi ends with status 15",)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("", "nvidia-smi cannot be understood: it is not what nvidia-smi -q says"),
        ("<nvidia_smi_log><gpu>", "nvidia-smi cannot be understood: its XML is broken"),
        ("<nvidia_smi_log></nvidia_smi_log>", "nvidia-smi shows no GPU"),
    ],
)
def test_output_that_is_none_is_a_problem(place: Place, output: str, problem: str) -> None:
    assert read(place, output) == ([], (problem,))


def test_a_command_that_is_not_there_or_hangs_is_a_problem(place: Place) -> None:
    def missing() -> tuple[int, str]:
        raise FileNotFoundError(2, "No such file or directory")

    def hangs() -> tuple[int, str]:
        raise subprocess.TimeoutExpired("nvidia-smi", 15)

    for run, problem in (
        (missing, "nvidia-smi cannot be run: No such file or directory"),
        (hangs, "nvidia-smi takes more than 15 s"),
    ):
        source = SmiSource(place, run)
        assert source.read(1) == ()
        assert source.problems() == (problem,)


def test_it_really_runs_the_command(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n[ \"$*\" = '-q -x' ] || exit 2\ncat <<'END'\n{XML_470}END\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    source = SmiSource(place)
    assert [sample.gpu for sample in source.read(1)] == ["GPU-a100"]
    assert source.problems() == ()


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not part of the project")
def test_real_captures_are_read_without_a_problem(place: Place) -> None:
    """Besides the hand-written ones: H100, H100 with MIG and H200, idle and under load."""
    for path in CAPTURES.glob("*.txt"):
        sections = re.findall(r"^==============NVSMI LOG.*?(?=^#{20})", path.read_text(), re.DOTALL | re.MULTILINE)
        idle, load = (read(place, section) for section in sections)
        assert idle[1] == load[1] == ()
        assert load[0][0].power_limit_w == 700.0
        assert load[0][0].power_w > 5 * idle[0][0].power_w
        assert load[0][0].sm_clock_mhz == 1980
