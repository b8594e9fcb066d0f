"""Where a request's time went: the arithmetic and the sentences."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.operator import latency_shown as shown
from dashboard.operator import latency_story as story
from metering.public import (
    BoundShare,
    EnginePoint,
    LiveCounts,
    LivePoint,
    LiveScope,
    ObjectiveState,
    Quantiles,
    RequestStory,
    SaturationPoint,
    Tally,
)

END = datetime(2026, 11, 25, 14, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTHING = "\N{EN DASH}"


def request(**fields: Any) -> RequestStory:
    usual: dict[str, Any] = dict.fromkeys(RequestStory.__dataclass_fields__, "")
    usual |= dict.fromkeys(("queue_ms", "ttft_ms", "tpot_ms", "e2e_ms"))
    usual |= dict.fromkeys(("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"), 0)
    usual |= {"time": END, "gpus": (), "stream": True, "attributes": {}, "model": "m", "status": "ok"}
    return RequestStory(**(usual | {"input_tokens": 1000, "output_tokens": 101} | fields))


def minute(start: datetime, bound: str = "", share: float = 1.0) -> SaturationPoint:
    held = (BoundShare(bound, share),) if bound else ()
    return SaturationPoint(start, {}, 1, 1.0, 0.9, 0.9, "n", "e", held, False)


def engine(start: datetime, **fields: Any) -> EnginePoint:
    nothing = dict.fromkeys(EnginePoint.__dataclass_fields__)
    return EnginePoint(
        **(
            nothing
            | {"start": start, "group": {}, "engines": 1, "simulated": False, "up_share": 1.0, "restarts": 0}
            | fields
        )
    )


def usual(p50: float) -> LivePoint:
    levels = Quantiles(p50, p50 * 2, p50 * 3, p50 * 4)
    return LivePoint(END, END, LiveCounts(3600.0), levels, levels, levels)


def test_time_is_split_into_queue_prefill_and_decode() -> None:
    one = request(queue_ms=300.0, ttft_ms=1000.0, e2e_ms=5000.0, tpot_ms=40.0, cached_input_tokens=300)
    parts = story.parts(one)
    assert [(part.name, part.ms, part.share) for part in parts] == [
        ("queue", 300.0, "6.00 %"),
        ("prefill", 700.0, "14.0 %"),
        ("decode", 4000.0, "80.0 %"),
    ]
    assert sum(part.ms for part in parts) == one.e2e_ms
    assert parts[1].detail == "700 prompt tokens computed, 300 more came from the cache: 1,000 tokens/s"
    assert parts[2].detail == "101 output tokens, 40.0 ms each after the first"


def test_what_is_not_told_is_not_made_up() -> None:
    assert story.parts(request()) == []
    assert story.parts(request(e2e_ms=100.0)) == []
    (first, rest) = story.parts(request(ttft_ms=100.0, e2e_ms=400.0))
    assert (first.label, first.ms, rest.ms) == ("Queue and prefill", 100.0, 300.0)
    (alone,) = story.parts(request(ttft_ms=100.0))
    assert (alone.width, alone.share) == (None, NOTHING)
    (queue,) = story.parts(request(queue_ms=5.0))
    assert queue.name == "queue"


def test_figures_that_contradict_each_other_are_named_and_no_part_is_less_than_nothing() -> None:
    one = request(queue_ms=2000.0, ttft_ms=1000.0, e2e_ms=500.0)
    assert [part.ms for part in story.parts(one)] == [1000.0, 0.0, 0.0]
    assert all((part.width or 0) <= 100 for part in story.parts(one))
    assert len(story.doubts(one)) == 2
    assert story.doubts(request(queue_ms=1.0, ttft_ms=2.0, e2e_ms=3.0)) == []


def test_decode_says_what_its_tokens_account_for_where_that_differs() -> None:
    (_, decode) = story.parts(request(ttft_ms=100.0, e2e_ms=10_100.0, tpot_ms=20.0))
    assert decode.detail == "101 output tokens, 20.0 ms each after the first; that accounts for 2.0 s"
    (_, decode) = story.parts(request(ttft_ms=100.0, e2e_ms=10_100.0))
    assert decode.detail == "101 output tokens, 100 ms each after the first"
    (_, decode) = story.parts(request(ttft_ms=100.0, e2e_ms=100.0, output_tokens=1))
    assert decode.detail == "1 output token"


def test_the_sentence_compares_with_what_was_usual() -> None:
    one = request(ttft_ms=9000.0, e2e_ms=10_000.0, queue_ms=8000.0)
    said = story.sentences(one, usual(2000.0), [], [])
    assert said[0] == "It took 10.0 s: 5.0 times the median of m in that hour (2.0 s)."
    assert said[1] == "Most of that, 8.0 s (80.0 %), it waited in the engine's queue."
    assert story.sentences(one, None, [], [])[0] == "It took 10.0 s."


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (["kv_cache", "kv_cache"], "was bound by KV cache the whole time."),
        (["kv_cache", "", "power"], "was bound by KV cache in 2 of these 3 minutes."),
        (["", ""], "was at none of its limits meanwhile."),
    ],
)
def test_the_sentence_names_what_bound_the_engine(minutes: list[str], said: str) -> None:
    one = request(node="n1", engine="e0", e2e_ms=100.0)
    found = story.sentences(one, None, [minute(END, bound) for bound in minutes], [])
    assert found[1] == f"Engine e0 on n1 {said}"


def test_an_engine_that_reported_nothing_is_not_called_well() -> None:
    one = request(node="n1", engine="e0", e2e_ms=100.0)
    assert "reported nothing" in story.sentences(one, None, [], [])[1]
    assert "does not say on which node" in story.sentences(request(e2e_ms=1.0), None, [], [])[1]
    load = [engine(END, running=8.0, waiting=2.0, kv_cache_usage_max=0.5, preemptions=3)]
    assert story.sentences(one, None, [minute(END)], load)[1].endswith(
        "meanwhile, with up to 8 requests running, 2 waiting, its KV cache up to 50 % full, 3 preemptions."
    )


def test_a_request_is_in_the_minutes_that_it_ran_through() -> None:
    one = request(e2e_ms=80_000.0)  # from 14:29:00 to 14:30:20
    starts = [END.replace(second=0) + number * MINUTE for number in range(-3, 3)]
    assert [at.minute for at in starts if story.during(one, at, MINUTE)] == [29, 30]
    assert [at.minute for at in starts if story.during(request(), at, MINUTE)] == [30]


def test_measures_are_compared_with_the_median() -> None:
    rows = {row.label: row for row in story.compared(request(ttft_ms=300.0, e2e_ms=250.0), usual(200.0))}
    assert (rows["Time to first token"].times, rows["Time to first token"].slow) == ("1.5\N{MULTIPLICATION SIGN}", True)
    assert not rows["End to end"].slow
    assert (rows["Time per output token"].own, rows["Time per output token"].times) == (NOTHING, NOTHING)


@pytest.mark.parametrize(
    ("ms", "said"), [(5.0, "5.0 ms"), (840.4, "840 ms"), (41_230.0, "41.2 s"), (750_000.0, "12.5 min")]
)
def test_durations_have_the_unit_that_fits(ms: float, said: str) -> None:
    assert story.duration(ms) == said


def state(**fields: Any) -> ObjectiveState:
    known: dict[str, Any] = {
        "name": "o",
        "scope": LiveScope(),
        "measure": "ttft_ms",
        "threshold_ms": 500.0,
        "target": 0.99,
        "window": timedelta(days=30),
        "as_of": END,
        "counted_from": END - timedelta(days=31),
        "tally": Tally(995, 1000),
        "recent": dict.fromkeys(("5m", "30m", "1h", "6h", "3d"), Tally(995, 1000)),
    }
    return ObjectiveState(**(known | fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Kept"),
        ({"as_of": None}, "Not counted yet"),
        ({"tally": Tally()}, "No requests"),
        ({"tally": Tally(980, 1000)}, "Missed"),
        ({"recent": dict.fromkeys(("5m", "30m", "1h", "6h", "3d"), Tally(80, 100))}, "Burns fast"),
        ({"recent": dict.fromkeys(("5m", "30m", "1h", "6h", "3d"), Tally(980, 1000))}, "Burns"),
    ],
)
def test_an_objective_is_judged_in_a_word(fields: dict[str, Any], said: str) -> None:
    assert shown.verdict(state(**fields))[0] == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.99999, "99.999 %"), (0.999999, "99.999 %"), (1.0, "100 %"), (0.95, "95 %"), (0.9995, "99.95 %")],
)
def test_nines_are_never_rounded_up(value: float, said: str) -> None:
    assert shown.share(value) == said


def test_what_calls_for_action_comes_first() -> None:
    from dashboard.operator.filters import Filters

    fast = state(name="fast", recent=dict.fromkeys(("5m", "30m", "1h", "6h", "3d"), Tally(80, 100)))
    missed = state(name="missed", tally=Tally(9, 10))
    rows = shown.objectives([state(name="kept"), missed, fast], Filters())
    assert [row.name for row in rows] == ["fast", "missed", "kept"]
    assert rows[1].left == "\N{MINUS SIGN}900.0 %"
    assert (rows[1].left_width, rows[1].overspent) == (0, True)
