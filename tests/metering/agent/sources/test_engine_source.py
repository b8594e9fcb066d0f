"""One engine over HTTP: whether it is up, and what is said if it is not what it should be."""

import httpx

from metering.agent.engines import EngineSource, EngineSpec
from metering.agent.samples import EngineSample
from metering.agent.sources import Place
from tests.metering.agent.sources import engine_texts
from tests.metering.agent.sources.served import Served

SPEC = EngineSpec("llama", "vllm", "http://127.0.0.1:8000/metrics", "llama-70b", ("0", "GPU-1"))


def test_an_engine_that_does_not_answer_is_a_sample_that_is_down(place: Place) -> None:
    served = Served()
    served.error = lambda _: httpx.ConnectError("[Errno 111] Connection refused")
    source = EngineSource(place, SPEC, served.http)
    assert list(source.read(5)) == [
        EngineSample(
            time=5,
            node="node-7",
            region="eu-west",
            cluster="blue",
            engine="llama",
            engine_kind="vllm",
            model="llama-70b",
            up=False,
            gpus=("GPU-1",),
        )
    ]
    assert source.problems() == ("it does not answer: [Errno 111] Connection refused",)


def test_it_is_up_again_and_the_problem_is_gone_when_it_answers(place: Place) -> None:
    served = Served(engine_texts.VLLM, 503)
    source = EngineSource(place, SPEC, served.http)
    (sample,) = source.read(1)
    assert not sample.up
    assert source.problems() == ("it answers HTTP 503",)
    served.status = 200
    (sample,) = source.read(2)
    assert sample.up
    assert source.problems() == ()


def test_another_kind_of_engine_than_was_said_is_down_and_a_problem(place: Place) -> None:
    source = EngineSource(place, SPEC, Served(engine_texts.SGLANG).http)
    (sample,) = source.read(1)
    assert not sample.up
    assert source.problems() == ("it answers, but not with the metrics of vllm",)


def test_ten_thousand_label_values_are_refused_as_a_whole(place: Place) -> None:
    text = "".join(f'vllm:generation_tokens_total{{user="{user}"}} 1\n' for user in range(10_000))
    source = EngineSource(place, SPEC, Served(text).http)
    (sample,) = source.read(1)
    assert not sample.up
    assert source.problems() == ("it has more than 4000 series of names that should have a few",)


def test_malformed_lines_are_a_problem_and_the_rest_is_read(place: Place) -> None:
    source = EngineSource(place, SPEC, Served(engine_texts.VLLM + "vllm:num_requests_running{engine=0} 5\n").http)
    (sample,) = source.read(1)
    assert sample.running == 17.0
    assert source.problems() == ("some lines are malformed and left out",)


def test_no_bucket_is_ever_wanted(place: Place) -> None:
    for kind in ("vllm", "sglang", "tgi", "tensorrt_llm", "triton"):
        source = EngineSource(place, EngineSpec("e", kind, "http://127.0.0.1/metrics"), Served().http)
        assert not [name for name in source._wanted if name.endswith("_bucket")]


def test_its_label_says_what_is_read_where(place: Place) -> None:
    assert EngineSource(place, SPEC, Served().http).label == "vllm http://127.0.0.1:8000/metrics"


def test_a_counter_that_begins_anew_is_reported_as_it_is(place: Place) -> None:
    """Whether an engine began anew is decided where two samples are compared: on the server."""
    served = Served(engine_texts.VLLM)
    source = EngineSource(place, SPEC, served.http)
    source.read(1)
    served.text = engine_texts.VLLM.replace("739935.0", "12.0")
    (sample,) = source.read(2)
    assert sample.generation_tokens == 12
    assert source.problems() == ()
