"""The sentence of the overview: words, order, causes. Pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dashboard.formats import MINUS
from dashboard.operator.state import MOST, Mark, Signals, findings
from metering.public import (
    CapChange,
    Causes,
    EngineState,
    ErrorShift,
    Headroom,
    LatencyShift,
    LoadShift,
    Lost,
    ModelLoad,
    Presence,
    Silence,
)
from tests.dashboard.fleet_states import NOW, engine

MINUTE = timedelta(minutes=1)
QUIET = Causes(NOW, Presence(()), (), (), (), (), None, ())


def signals(*engines: EngineState, ever: bool = True, deploys: tuple[Mark, ...] = (), **causes: Any) -> Signals:
    return Signals(NOW, replace(QUIET, **causes), engines, ever, deploys)


def said(found: Signals) -> list[str]:
    return [one.sentence for one in findings(found)]


def bound(constraint: str = "kv_cache", name: str = "e0", *, since: float = 18, **fields: Any) -> EngineState:
    usual: dict[str, Any] = {"model": "llama-70b", "region": "eu-west", "since": NOW - since * MINUTE}
    return engine(name, 1.0, constraint, bound=True, **usual | fields)


def well(name: str = "e1", **fields: Any) -> EngineState:
    return engine(name, 0.5, "kv_cache", **{"model": "llama-70b", "region": "eu-west"} | fields)


def load(**fields: Any) -> LoadShift:
    usual: dict[str, Any] = {
        "model": "llama-70b",
        "tenant": "acme",
        "since": NOW - 20 * MINUTE,
        "before_s": 1000.0,
        "now_s": 2800.0,
        "share_before": 0.2,
        "share": 0.41,
        "model_before_s": 5000.0,
        "model_now_s": 6800.0,
    }
    return LoadShift(**usual | fields)


def slow(**fields: Any) -> LatencyShift:
    usual: dict[str, Any] = {
        "model": "llama-70b",
        "measure": "itl",
        "before_ms": 21.0,
        "now_ms": 38.0,
        "load_ratio": 1.02,
        "since": NOW - 20 * MINUTE,
        "regions": ("eu-west",),
        "everywhere": True,
    }
    return LatencyShift(**usual | fields)


def node(node: str = "gpu-03", **fields: Any) -> Lost:
    usual: dict[str, Any] = {
        "kind": "node",
        "node": node,
        "name": "",
        "since": NOW - 20 * MINUTE,
        "region": "eu-west",
        "cluster": "",
        "models": ("llama-70b",),
        "engines": 2,
        "gpus": 8,
        "gpus_of": 64,
    }
    return Lost(**usual | fields)


CAP = CapChange("n1", "eu-west", "", 8, 700.0, 350.0, NOW - 19 * MINUTE)


def test_a_limit_that_binds_is_said_with_its_cause_and_since_when() -> None:
    [one] = findings(signals(bound(), loads=(load(),)))
    assert one.sentence == (
        "Saturated: KV cache on llama-70b in eu-west since 14:12; caused by acme, +180 % since 14:10"
    )
    assert (one.tone, one.page, one.narrow) == ("bad", "tenants", (("model", "llama-70b"), ("tenant", "acme")))
    assert one.advice == "acme sends 41 % of the model's tokens: limit its rate, or add a replica."


def test_headroom_of_the_engines_that_are_not_bound_yet_is_said() -> None:
    room = Headroom("kv_cache_usage", "kv_cache", 14.2)
    [text] = said(signals(bound(), well(headroom=room)))
    assert "since 14:12, 1 of 2 engines; 14 minutes of headroom on the others" in text


def test_of_kv_cache_it_says_how_much_more_a_burst_holds_than_it_sends() -> None:
    [text] = said(signals(bound(), loads=(load(held_before=10_000.0, held_now=60_000.0),)))
    assert text.endswith("+180 % since 14:10 (and about 6.0 times the KV cache)")
    [text] = said(signals(bound("queue"), loads=(load(held_before=10_000.0, held_now=60_000.0),)))
    assert "KV cache" not in text


@pytest.mark.parametrize(
    ("causes", "ending"),
    [
        ({}, "since 14:12"),
        (
            {"models": (ModelLoad("llama-70b", 6000.0, 4000.0),)},
            "; its load is up 50 % on the hour before, by no one customer",
        ),
        ({"models": (ModelLoad("llama-70b", 4100.0, 4000.0),)}, "since 14:12"),
        ({"loads": (load(since=NOW - 5 * MINUTE),)}, "since 14:12"),
        ({"loads": (load(model="qwen"),)}, "since 14:12; "),
        ({"latencies": (slow(),)}, "; time per output token from 21 to 38 ms since 14:10, load unchanged"),
        ({"latencies": (slow(measure="prefill"),)}, "since 14:12"),
    ],
    ids=[
        "none",
        "all customers",
        "load as before",
        "began after it",
        "of another model",
        "the model is slower",
        "prefill waits",
    ],
)
def test_only_what_changed_before_it_on_that_model_is_a_cause(causes: dict[str, Any], ending: str) -> None:
    text = said(signals(bound(), **causes))[0]
    assert text.endswith(ending.rstrip("; "))


def test_a_lower_cap_is_the_cause_of_power_that_binds_and_not_told_twice() -> None:
    texts = said(signals(bound("power"), caps=(CAP,), loads=(load(),)))
    assert texts[0].endswith("; the power cap of n1 was lowered from 700 to 350 W a GPU at 14:11")
    assert not any(text.startswith("Power cap") for text in texts)


def test_a_cap_that_binds_nothing_is_told_by_itself() -> None:
    [text] = said(signals(well(), caps=(CAP,)))
    assert text == "Power cap lowered: n1, from 700 to 350 W a GPU on 8 GPUs since 14:11; it does not bind yet"


def test_a_lost_node_comes_first_and_explains_what_binds() -> None:
    texts = said(signals(bound(), presence=Presence((node(),))))
    assert texts == [
        "Lost: node gpu-03 since 14:10, 8 of 64 GPUs; llama-70b runs on fewer engines",
        "Saturated: KV cache on llama-70b in eu-west since 14:12; since node gpu-03 was lost",
    ]


def test_what_is_lost_together_is_told_together() -> None:
    lost = tuple(node(f"gpu-{n:02}") for n in range(5))
    assert said(signals(presence=Presence(lost))) == [
        "Lost: nodes gpu-00, gpu-01, gpu-02 and 2 more since 14:10, 40 of 64 GPUs; llama-70b runs on fewer engines"
    ]


def test_an_engine_that_is_down_and_a_gpu_that_is_gone_have_words_of_their_own() -> None:
    down = node(kind="down", name="vllm-0", gpus=4)
    gone = node(kind="gpu", name="GPU-7", gpus=1)
    assert said(signals(well(), presence=Presence((down, gone)))) == [
        "Down: engine vllm-0 on gpu-03 does not answer since 14:10, 4 of 64 GPUs; llama-70b runs on fewer engines",
        "Lost: GPU GPU-7 on gpu-03 since 14:10, though the node reports",
    ]


def test_a_model_that_is_slower_names_the_deploy_before_it() -> None:
    deploys = (
        Mark(NOW - 21 * MINUTE, "v2", "llama-70b"),
        Mark(NOW - 22 * MINUTE, "x", "qwen"),
        Mark(NOW - 90 * MINUTE, "v1"),
    )
    [one] = findings(signals(well(), latencies=(slow(),), deploys=deploys))
    assert one.sentence == (
        "Slower: llama-70b: time per output token from 21 to 38 ms since 14:10, load unchanged, after the deploy at 14:09 (v2)"
    )
    assert one.advice.startswith("Roll the deploy back")


def test_a_model_that_is_slower_in_one_region_says_where_and_how_its_load_moved() -> None:
    [text] = said(signals(well(), latencies=(slow(everywhere=False, load_ratio=0.7, measure="prefill"),)))
    assert text == f"Slower: llama-70b in eu-west: prefill from 21 to 38 ms since 14:10, load {MINUS}30 %"


@pytest.mark.parametrize(
    "explained",
    [{"presence": Presence((node(),))}, {"caps": (CAP,)}],
    ids=["fewer engines", "a lower cap on its node"],
)
def test_slowness_that_something_else_explains_is_not_told(explained: dict[str, Any]) -> None:
    assert not any(text.startswith("Slower") for text in said(signals(well(), latencies=(slow(),), **explained)))


def test_a_burst_is_told_before_it_binds_anything_once_for_each_customer() -> None:
    texts = said(signals(well(), loads=(load(), load(model="bge"), load(tenant="small", now_s=1600.0))))
    assert texts == [
        "Burst: acme sends +180 % to llama-70b since 14:10, 41 % of its load; nothing binds because of it yet"
    ]


def test_a_customer_who_is_new_or_sends_many_times_as_much_is_said_so() -> None:
    assert "acme sends new load to" in said(signals(well(), loads=(load(before_s=0.0),)))[0]
    assert "acme sends 40 times as much to" in said(signals(well(), loads=(load(before_s=70.0),)))[0]


def test_errors_are_told_with_what_they_were_before() -> None:
    error = ErrorShift("llama-70b", 0.123, 0.001, 40, NOW - 3 * MINUTE)
    assert said(signals(well(), errors=(error,))) == [
        "Failing: 12.3 % of the requests to llama-70b since 14:27, 0.10 % before"
    ]


def test_silence_of_events_and_of_samples_comes_before_all_else() -> None:
    silent = Presence((), silent=NOW - 3 * MINUTE)
    texts = said(signals(bound(), silence=Silence(NOW - 4 * MINUTE, 12.0), presence=silent))
    assert texts[0] == "No events: no request has ended since 14:26, after 12.0 a second"
    assert texts[1] == "No samples: no agent has reported since 14:27; what binds is not known"
    assert texts[2].startswith("Saturated")


def test_there_are_three_at_most_the_gravest_first() -> None:
    everything = signals(
        bound(),
        bound("compute", "q", model="qwen", weight=4.0),
        presence=Presence((node(models=()),)),
        errors=(ErrorShift("bge", 0.5, 0.0, 99, None),),
        loads=(load(model="bge"),),
        caps=(CAP,),
    )
    texts = said(everything)
    assert len(texts) == MOST
    assert [text.partition(":")[0] for text in texts] == ["Lost", "Saturated", "Saturated"]
    assert "qwen" in texts[1]


def test_one_engine_of_many_is_strain_and_only_once_it_lasts() -> None:
    others = [well(f"w{n}") for n in range(9)]
    assert said(signals(bound(since=1), *others))[0].startswith("All well")
    [one] = findings(signals(bound(since=4), *others))
    assert (one.title, one.tone) == ("Strained", "warn")
    assert "1 of 10 engines" in one.sentence


def test_a_cache_that_fills_within_minutes_is_told_and_power_that_rises_is_not() -> None:
    room = Headroom("kv_cache_usage", "kv_cache", 6.0)
    soon = engine("e1", 0.8, "kv_cache", model="llama-70b", region="eu-west", headroom=room)
    [text] = said(signals(soon))
    assert text == (
        "Filling up: KV cache binds in 6 minutes on llama-70b in eu-west, first on e1 of n1, if it goes on like this"
    )
    assert said(signals(replace(soon, headroom=Headroom("power_share", "power", 6.0))))[0].startswith("All well")


@pytest.mark.parametrize(
    ("engines", "text"),
    [
        (
            [well(headroom=Headroom("kv_cache_usage", "kv_cache", 185.0)), well("e2")],
            "All well: nothing binds; the nearest limit is KV cache on llama-70b in 3 h, if it goes on like this",
        ),
        (
            [well()],
            "All well: nothing binds; nothing is on its way to a limit; the nearest is KV cache on llama-70b, at 50 % of it",
        ),
        (
            [engine("e", None, "", up=False, model="m")],
            "All well: nothing binds; the engines tell too little to say how near a limit is",
        ),
    ],
)
def test_calm_is_said_with_the_nearest_limit(engines: list[EngineState], text: str) -> None:
    [one] = findings(signals(*engines))
    assert (one.sentence, one.tone) == (text, "good")


def test_without_engines_it_says_what_is_missing() -> None:
    assert said(signals())[0].startswith("No samples: requests arrive, but no engine or GPU reports")
    assert said(signals(ever=False)) == ["Nothing yet: no event and no sample has arrived"]


def test_since_says_the_day_when_it_was_long_ago() -> None:
    [text] = said(signals(bound(since=22 * 60)))
    assert text == "Saturated: KV cache on llama-70b in eu-west since 24 Nov 16:30"
