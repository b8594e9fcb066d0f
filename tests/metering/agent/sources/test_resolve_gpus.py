"""Which GPUs an engine runs on."""

import pytest

from metering.agent.engines import EngineSpec, resolve_gpus

PRESENT = [(0, "GPU-a"), (1, "GPU-b"), (2, "GPU-c")]


def engine(name: str, *gpus: str) -> EngineSpec:
    return EngineSpec(name, "vllm", "http://127.0.0.1:8000/metrics", gpus=gpus)


def test_the_only_engine_has_all_gpus() -> None:
    resolved = resolve_gpus([engine("one")], PRESENT)
    assert [spec.gpus for spec in resolved.specs] == [("GPU-a", "GPU-b", "GPU-c")]
    assert resolved.problems == ()


def test_one_of_several_engines_that_does_not_say_has_none_and_that_is_a_problem() -> None:
    resolved = resolve_gpus([engine("one", "0", "1"), engine("two")], PRESENT)
    assert [spec.gpus for spec in resolved.specs] == [("GPU-a", "GPU-b"), ()]
    assert resolved.problems == ("engine two: it does not say which of the node's 3 GPUs it runs on (gpus)",)


def test_without_gpus_on_the_node_nobody_needs_to_say() -> None:
    resolved = resolve_gpus([engine("one"), engine("two")], [])
    assert [spec.gpus for spec in resolved.specs] == [(), ()]
    assert resolved.problems == ()


def test_indexes_and_uuids_may_be_mixed_and_a_gpu_counts_once() -> None:
    resolved = resolve_gpus([engine("one", "2", "GPU-a", "0")], PRESENT)
    assert resolved.specs[0].gpus == ("GPU-c", "GPU-a")


def test_an_index_that_the_node_does_not_have_is_left_out_and_a_problem() -> None:
    resolved = resolve_gpus([engine("one", "0", "7")], PRESENT)
    assert resolved.specs[0].gpus == ("GPU-a",)
    assert resolved.problems == ("engine one: the node has no GPU 7",)


def test_a_uuid_that_is_not_there_now_stays_the_engines_and_is_a_problem() -> None:
    resolved = resolve_gpus([engine("one", "GPU-lost", "1")], PRESENT)
    assert resolved.specs[0].gpus == ("GPU-lost", "GPU-b")
    assert resolved.problems == ("engine one: the node has no GPU GPU-lost",)


def test_gpus_without_an_index_are_known_by_uuid() -> None:
    assert resolve_gpus([engine("one", "GPU-x")], [(None, "GPU-x")]).problems == ()


def test_an_engine_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="engine one: kind is 'ollama', expected one of vllm, sglang"):
        EngineSpec("one", "ollama", "http://127.0.0.1/metrics")
