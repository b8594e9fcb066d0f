"""Which GPUs an engine has, from indexes and UUIDs, while GPUs come and go."""

from dataclasses import replace

from metering.agent.engines.spec import EngineSpec
from metering.agent.gpus_seen import GpusSeen
from metering.agent.samples import EngineSample, GpuSample
from tests.metering.agent.running.fakes import FakeGpus, engine_sample


def spec(name: str, *gpus: str) -> EngineSpec:
    return EngineSpec(name, "vllm", "http://127.0.0.1:8000/metrics", gpus=gpus)


def gpus_of(seen: GpusSeen, name: str) -> tuple[str, ...]:
    (sample,) = seen.complete([engine_sample(0, name)])
    assert isinstance(sample, EngineSample)
    return sample.gpus


def test_an_index_becomes_a_uuid_once_the_gpus_are_read() -> None:
    seen = GpusSeen([spec("a", "0", "1"), spec("b", "GPU-3")])
    assert gpus_of(seen, "a") == ()
    assert gpus_of(seen, "b") == ("GPU-3",)
    seen.complete(FakeGpus(count=4).read(0))
    assert gpus_of(seen, "a") == ("GPU-0", "GPU-1")
    assert gpus_of(seen, "b") == ("GPU-3",)
    assert seen.problems == ()


def test_the_only_engine_has_all_of_them() -> None:
    seen = GpusSeen([spec("a")])
    seen.complete(FakeGpus(count=2).read(0))
    assert gpus_of(seen, "a") == ("GPU-0", "GPU-1")


def test_one_of_several_that_does_not_say_has_none_which_is_a_problem() -> None:
    seen = GpusSeen([spec("a"), spec("b", "7")])
    seen.complete(FakeGpus(count=2).read(0))
    assert (gpus_of(seen, "a"), gpus_of(seen, "b")) == ((), ())
    assert len(seen.problems) == 2


def test_a_gpu_that_vanished_is_still_its_engines_and_one_that_was_replaced_is_not() -> None:
    seen = GpusSeen([spec("a", "0", "1")])
    zero, one = FakeGpus(count=2).read(0)
    assert isinstance(one, GpuSample)
    seen.complete([zero, one])
    seen.complete([zero])
    assert gpus_of(seen, "a") == ("GPU-0", "GPU-1")
    seen.complete([zero, replace(one, gpu="GPU-new")])
    assert gpus_of(seen, "a") == ("GPU-0", "GPU-new")


def test_mig_instances_are_no_gpus_of_their_own() -> None:
    seen = GpusSeen([spec("a")])
    zero = FakeGpus(count=1).read(0)[0]
    assert isinstance(zero, GpuSample)
    seen.complete([zero, replace(zero, mig="1/0")])
    assert gpus_of(seen, "a") == ("GPU-0",)
