"""An engine's text, read by the agent's own parser."""

import httpx
import pytest

from metering.agent.engines import EngineSource, EngineSpec
from metering.agent.samples import EngineSample
from metering.agent.sources import Place
from metering.simulator.exposition import metrics_text
from metering.simulator.fleet import Fleet
from tests.metering.simulator.plans import LARGE, mixed_plan, ran


def read(fleet: Fleet, engine: int) -> EngineSample:
    text = metrics_text(fleet.engines.names[engine], engine, fleet.counters, fleet.gauges(), 1e5)
    answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(text.encode())))
    source = EngineSource(Place("n"), EngineSpec("e", "vllm", "http://e/metrics"), httpx.Client(transport=answer))
    (sample,) = source.read(5)
    assert source.problems() == ()
    return sample


def test_the_agent_reads_every_field_of_it() -> None:
    fleet, _ = ran(mixed_plan(), 3)
    sample = read(fleet, LARGE)

    assert sample.up
    assert sample.model == "llama-3.3-70b"
    assert [name for name in EngineSample.__dataclass_fields__ if getattr(sample, name) is None] == []
    assert sample.prompt_tokens == fleet.counters.value(LARGE, "prompt_tokens")
    assert sample.cached_prompt_tokens == fleet.counters.value(LARGE, "cached_prompt_tokens")
    assert sample.generation_tokens == fleet.counters.value(LARGE, "generation_tokens")
    assert sample.ttft_sum_s == pytest.approx(fleet.counters.value(LARGE, "ttft_sum_s"))
    assert sample.running == fleet.gauges().running[LARGE]
    assert sample.kv_cache_usage == pytest.approx(fleet.gauges().kv_cache_usage[LARGE])
    ended = sum(fleet.counters.value(LARGE, f"finished_{reason}") for reason in ("stop", "length", "abort"))
    assert sample.requests_finished == ended
    assert sample.requests_aborted == fleet.counters.value(LARGE, "finished_abort") > 0


def test_an_engine_that_has_not_served_yet_counts_zero() -> None:
    sample = read(Fleet(mixed_plan()), LARGE)

    assert (sample.running, sample.prompt_tokens, sample.e2e_count, sample.requests_finished) == (0, 0, 0, 0)
