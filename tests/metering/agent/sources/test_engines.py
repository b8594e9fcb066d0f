"""What each kind of engine's text becomes."""

import pytest

from metering.agent.engines import EngineSource, EngineSpec
from metering.agent.samples import EngineSample
from metering.agent.sources import Place
from tests.metering.agent.sources import engine_texts
from tests.metering.agent.sources.served import Served

URL = "http://127.0.0.1:8000/metrics"


def read(place: Place, text: str, kind: str = "vllm", model: str = "") -> tuple[EngineSample, tuple[str, ...]]:
    source = EngineSource(place, EngineSpec("llama", kind, URL, model), Served(text).http)
    (sample,) = source.read(1_700_000_000_000)
    return sample, tuple(source.problems())


def test_every_field_of_a_vllm(place: Place) -> None:
    sample, problems = read(place, engine_texts.VLLM)
    assert sample == EngineSample(
        time=1_700_000_000_000,
        node="node-7",
        region="eu-west",
        cluster="blue",
        engine="llama",
        engine_kind="vllm",
        model="meta-llama/Llama-3.3-70B-Instruct",
        running=17.0,
        waiting=3.0,
        kv_cache_usage=0.625,
        preemptions=4,
        prompt_tokens=59_150_900,
        cached_prompt_tokens=34_176_700,
        generation_tokens=739_935,
        prefix_cache_queries=59_150_800,
        prefix_cache_hits=34_176_600,
        requests_finished=984,
        requests_aborted=6,
        ttft_sum_s=431.25,
        ttft_count=984,
        itl_sum_s=51_901.0,
        itl_count=738_954,
        e2e_sum_s=52_905.5,
        e2e_count=978,
        queue_sum_s=12.5,
        queue_count=978,
        prefill_sum_s=1225.25,
        prefill_count=978,
        decode_sum_s=51_132.0,
        decode_count=978,
    )
    assert problems == ()


def test_the_older_names_of_vllm(place: Place) -> None:
    sample, problems = read(place, engine_texts.VLLM_OLD)
    assert sample.model == "llama2-70b"
    assert (sample.running, sample.waiting, sample.kv_cache_usage) == (8.0, 3.0, 0.5)  # 2 that wait and 1 swapped out
    assert (sample.prefix_cache_queries, sample.prefix_cache_hits) == (1000, 250)
    assert (sample.itl_sum_s, sample.itl_count) == (80.0, 3388)
    assert (sample.cached_prompt_tokens, sample.requests_aborted) == (None, None)
    assert problems == (
        "cached_prompt_tokens: no vllm:prompt_tokens_cached_total",
        "requests_aborted: no vllm:request_success_total with finished_reason abort",
    )


@pytest.mark.parametrize("prefix", ["ray_vllm:", "ray_vllm_"])
def test_vllm_under_ray_has_another_prefix_and_counters_without_total(place: Place, prefix: str) -> None:
    text = engine_texts.VLLM.replace("vllm:", prefix).replace("_total{", "{")
    sample, problems = read(place, text)
    plain, _ = read(place, engine_texts.VLLM)
    assert sample == plain
    assert problems == ()


def test_data_parallel_ranks_are_summed_but_the_fullest_kv_cache_counts(place: Place) -> None:
    second = engine_texts.VLLM.replace('engine="0"', 'engine="1"').replace("} 0.625", "} 0.25")
    sample, problems = read(place, engine_texts.VLLM + second)
    assert (sample.running, sample.waiting) == (34.0, 6.0)
    assert (sample.generation_tokens, sample.requests_finished, sample.requests_aborted) == (1_479_870, 1968, 12)
    assert (sample.ttft_sum_s, sample.ttft_count) == (862.5, 1968)
    assert sample.kv_cache_usage == 0.625
    assert problems == ()


def test_several_models_have_no_one_name_unless_the_operator_gives_one(place: Place) -> None:
    text = engine_texts.VLLM + engine_texts.VLLM.replace("Llama-3.3-70B-Instruct", "other")
    assert read(place, text)[0].model == ""
    assert read(place, text, model="mix")[0].model == "mix"


def test_every_field_of_an_sglang(place: Place) -> None:
    sample, problems = read(place, engine_texts.SGLANG, "sglang")
    assert sample.model == "qwen3"
    assert (sample.running, sample.waiting, sample.kv_cache_usage) == (12.0, 5.0, 0.875)
    assert (sample.prompt_tokens, sample.cached_prompt_tokens, sample.generation_tokens) == (128_201, 4_400, 7_557)
    assert (sample.preemptions, sample.requests_finished, sample.requests_aborted) == (2, 40, 4)
    assert (sample.ttft_sum_s, sample.ttft_count) == (2.25, 44)
    assert (sample.itl_sum_s, sample.itl_count) == (75.5, 7513)
    assert (sample.e2e_sum_s, sample.e2e_count) == (116.5, 40)
    assert (sample.queue_sum_s, sample.queue_count) == (6.5, 44)
    assert (sample.prefix_cache_queries, sample.prefill_sum_s, sample.decode_count) == (None, None, None)
    assert problems == ()


def test_tensor_parallel_ranks_of_an_sglang_tell_of_the_same_requests(place: Place) -> None:
    both = engine_texts.SGLANG + engine_texts.SGLANG.replace('tp_rank="0"', 'tp_rank="1"')
    assert read(place, both, "sglang") == read(place, engine_texts.SGLANG, "sglang")


def test_data_parallel_ranks_of_an_sglang_tell_of_different_ones(place: Place) -> None:
    text = "".join(
        f'sglang:num_running_reqs{{dp_rank="{dp}",tp_rank="{tp}"}} {dp + 1}\n' for dp in range(2) for tp in range(4)
    )
    assert read(place, text, "sglang")[0].running == 3.0


def test_the_sum_of_an_sglangs_priorities_is_not_added_to_them(place: Place) -> None:
    text = "".join(
        f'sglang:num_queue_reqs{{priority="{priority}",tp_rank="0"}} {number}\n'
        for priority, number in (("", 14), ("-1", 0), ("0", 10), ("5", 4))
    )
    assert read(place, text, "sglang")[0].waiting == 14.0


def test_a_counter_that_is_declared_and_has_counted_nothing_is_zero(place: Place) -> None:
    """An SGLang before its first request: labels appear with the first value."""
    lines = engine_texts.SGLANG.splitlines(keepends=True)
    fresh = "".join(line for line in lines if line.startswith("#") or "_rank" in line)
    sample, problems = read(place, fresh, "sglang")
    assert (sample.prompt_tokens, sample.requests_finished, sample.requests_aborted) == (0, 0, 0)
    assert (sample.ttft_sum_s, sample.ttft_count) == (0.0, 0)
    assert problems == ()


def test_a_gauge_that_is_declared_only_is_unknown(place: Place) -> None:
    text = engine_texts.SGLANG.replace("sglang:token_usage{", "sglang:token_use{")
    sample, problems = read(place, text, "sglang")
    assert sample.kv_cache_usage is None
    assert problems == ("kv_cache_usage: no sglang:token_usage",)


def test_every_field_of_a_tgi(place: Place) -> None:
    sample, problems = read(place, engine_texts.TGI, "tgi", "mistral")
    assert sample.model == "mistral"
    assert (sample.running, sample.waiting, sample.kv_cache_usage) == (4.0, 7.0, None)
    assert (sample.prompt_tokens, sample.generation_tokens, sample.requests_finished) == (18_000, 12_500, 150)
    assert (sample.e2e_sum_s, sample.e2e_count) == (310.5, 150)
    assert (sample.queue_sum_s, sample.queue_count) == (3.25, 150)
    assert (sample.itl_sum_s, sample.itl_count, sample.ttft_count) == (None, None, None)
    assert problems == ()


@pytest.mark.parametrize("prefix", ["trtllm_", "trtllm:", ""])
def test_every_field_of_a_tensorrt_llm(place: Place, prefix: str) -> None:
    sample, problems = read(place, engine_texts.TENSORRT_LLM.replace("trtllm_", prefix), "tensorrt_llm")
    assert sample.model == "llama-3.1-8b"
    assert (sample.running, sample.waiting, sample.kv_cache_usage) == (6.0, 1.0, 0.75)
    assert (sample.prompt_tokens, sample.cached_prompt_tokens, sample.generation_tokens) == (51_200, 1_024, 12_800)
    assert (sample.requests_finished, sample.requests_aborted) == (102, 2)
    assert (sample.ttft_sum_s, sample.e2e_sum_s, sample.queue_sum_s) == (12.5, 204.5, 0.5)
    assert (sample.prefill_sum_s, sample.decode_sum_s, sample.itl_sum_s) == (11.5, 190.0, None)
    assert problems == ()


def test_every_field_of_a_triton_is_of_the_model_that_generates(place: Place) -> None:
    sample, problems = read(place, engine_texts.TRITON, "triton", "llama-70b")
    assert sample.model == "llama-70b"
    assert (sample.running, sample.waiting, sample.kv_cache_usage) == (64.0, 9.0, 0.5)
    assert (sample.prompt_tokens, sample.generation_tokens, sample.requests_finished) == (250_000, 120_000, 498)
    assert (sample.e2e_sum_s, sample.e2e_count) == (850.5, 498)
    assert (sample.queue_sum_s, sample.queue_count) == (2.5, 498)
    assert (sample.ttft_sum_s, sample.ttft_count) == (62.25, 498)
    assert problems == ()
    assert read(place, engine_texts.TRITON, "triton")[0].model == "tensorrt_llm"


def test_a_triton_whose_backend_does_not_tell_of_its_queue_has_that_of_triton(place: Place) -> None:
    text = engine_texts.TRITON.replace('request_type="waiting"', 'request_type="some"')
    assert read(place, text, "triton")[0].waiting == 2.0


def test_a_triton_with_several_models_and_no_backend_metrics_needs_to_be_told_which(place: Place) -> None:
    lines = engine_texts.TRITON.splitlines(keepends=True)
    text = "".join(line for line in lines if line.startswith("nv_inference"))
    sample, problems = read(place, text, "triton")
    assert (sample.up, sample.requests_finished) == (True, None)
    assert "it serves several models: name the one that generates (model)" in problems
    sample, problems = read(place, text, "triton", "tensorrt_llm")
    assert (sample.requests_finished, sample.waiting) == (498, 2.0)


@pytest.mark.parametrize(
    ("written", "words"),
    [("NaN", "not a number"), ("-1", "negative"), ("+Inf", "too high to be true"), ("-Inf", "negative")],
)
def test_what_cannot_be_true_is_left_out_with_all_that_was_to_be_added_to_it(
    place: Place, written: str, words: str
) -> None:
    second = engine_texts.VLLM.replace('engine="0"', 'engine="1"')
    for name, number in (("generation_tokens_total", "739935.0"), ("kv_cache_usage_perc", "0.625")):
        second = second.replace(
            f'vllm:{name}{{engine="1",model_name="meta-llama/Llama-3.3-70B-Instruct"}} {number}',
            f'vllm:{name}{{engine="1",model_name="meta-llama/Llama-3.3-70B-Instruct"}} {written}',
        )
    sample, problems = read(place, engine_texts.VLLM + second)
    assert (sample.generation_tokens, sample.kv_cache_usage) == (None, None)
    assert sample.running == 34.0
    assert problems == (f"kv_cache_usage: {words}, left out", f"generation_tokens: {words}, left out")


def test_a_histogram_with_a_sum_that_cannot_be_true_has_no_count_either(place: Place) -> None:
    sample, problems = read(place, engine_texts.VLLM.replace("431.25", "NaN"))
    assert (sample.ttft_sum_s, sample.ttft_count) == (None, None)
    assert problems == ("ttft_sum_s: not a number, left out",)


def test_a_kv_cache_in_percent_is_no_share(place: Place) -> None:
    sample, problems = read(place, engine_texts.VLLM.replace("0.625", "62.5"))
    assert sample.kv_cache_usage is None
    assert problems == ("kv_cache_usage: too high to be true, left out",)
