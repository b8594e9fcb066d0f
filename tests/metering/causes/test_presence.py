"""What has stopped reporting, and what does not answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

from metering.causes.heard import EngineBefore, EngineHeard, GpuBefore, GpuHeard, Heard, Place, narrowed
from metering.causes.presence import Lost, lost
from metering.live import LiveScope

NOW = datetime(2026, 11, 3, 14, 30, tzinfo=UTC)
EVERY = timedelta(seconds=10)
LLAMA = Place("llama", "eu", "c1")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def engine(seconds: float = 3, *, up: bool = True, answered: float | None = None, place: Place = LLAMA) -> EngineHeard:
    since = ago(seconds if answered is None else answered)
    return EngineHeard(ago(seconds), up, since, place, ("G0",), 60.0, {})


def engine_before(seconds: float = 90, *, every: timedelta = EVERY, place: Place = LLAMA) -> EngineBefore:
    return EngineBefore(ago(seconds), ago(seconds), place, ("G0",), every)


def gpu(seconds: float = 3) -> GpuHeard:
    return GpuHeard(ago(seconds), 700.0, 700.0, ago(seconds))


def gpu_before(seconds: float = 90) -> GpuBefore:
    return GpuBefore("eu", "c1", ago(seconds), EVERY, 700.0, ago(seconds))


def fleet(**changes: dict[tuple[str, str], Any]) -> Heard:
    """Two nodes, each with an engine and a GPU, all well; `changes` replace entries, None takes one away."""
    keys = ("n1", "e"), ("n2", "e")
    gpus = ("n1", "G0"), ("n2", "G0")
    found: dict[str, dict[tuple[str, str], Any]] = {
        "engines": {key: engine() for key in keys},
        "engines_before": {key: engine_before() for key in keys},
        "gpus": {key: gpu() for key in gpus},
        "gpus_before": {key: gpu_before() for key in gpus},
    }
    for name, entries in changes.items():
        found[name] |= entries
    kept = {name: {key: one for key, one in entries.items() if one is not None} for name, entries in found.items()}
    return Heard(NOW, **kept)


def told(found: Heard) -> list[tuple[str, str, str]]:
    return [(one.kind, one.node, one.name) for one in lost(found).lost]


def test_a_fleet_that_reports_has_lost_nothing() -> None:
    assert lost(fleet()).lost == ()


def test_a_node_of_which_nothing_reports_is_lost_as_one() -> None:
    found = fleet(engines={("n1", "e"): engine(70)}, gpus={("n1", "G0"): gpu(65)})
    assert lost(found).lost == (Lost("node", "n1", "", ago(65), "eu", "c1", ("llama",), 1, 1, 2),)


def test_one_that_is_not_even_in_the_newest_samples_is_known_from_its_minutes() -> None:
    found = fleet(engines={("n1", "e"): None}, gpus={("n1", "G0"): None})
    assert told(found) == [("node", "n1", "")]
    assert lost(found).lost[0].since == ago(90)


def test_an_engine_or_a_gpu_alone_is_not_its_node() -> None:
    assert told(fleet(engines={("n1", "e"): engine(70)})) == [("engine", "n1", "e")]
    assert told(fleet(gpus={("n1", "G0"): gpu(70)})) == [("gpu", "n1", "G0")]


def test_an_engine_that_does_not_answer_is_down_since_its_last_answer() -> None:
    found = fleet(engines={("n2", "e"): engine(3, up=False, answered=44)})
    assert told(found) == [("down", "n2", "e")]
    assert lost(found).lost[0].since == ago(44)


def test_one_that_reports_once_a_minute_is_given_its_time() -> None:
    slow = {("n1", "e"): engine_before(150, every=timedelta(minutes=1))}
    assert told(fleet(engines={("n1", "e"): engine(100)}, engines_before=slow)) == []
    assert told(fleet(engines={("n1", "e"): engine(230)}, engines_before=slow)) == [("engine", "n1", "e")]


def test_when_everybody_is_silent_at_once_it_is_the_samples_that_are_missing() -> None:
    found = fleet(
        engines={("n1", "e"): engine(60), ("n2", "e"): engine(61)}, gpus={("n1", "G0"): gpu(62), ("n2", "G0"): gpu(58)}
    )
    assert lost(found).lost == ()
    assert lost(found).silent == ago(58)


def test_a_new_engine_without_minutes_is_no_trouble() -> None:
    assert told(fleet(engines={("n3", "e"): engine()}, gpus={("n3", "G0"): gpu()})) == []


def test_a_fleet_is_narrowed_by_region_and_model() -> None:
    other = Place("qwen", "us", "c2")
    found = fleet(
        engines={("n2", "e"): engine(place=other)},
        engines_before={("n2", "e"): engine_before(place=other)},
        gpus_before={("n2", "G0"): GpuBefore("us", "c2", ago(90), EVERY, 700.0, ago(90))},
    )
    for scope in (LiveScope(region="eu"), LiveScope(model="llama"), LiveScope(cluster="c1")):
        only = narrowed(found, scope)
        assert [*only.engines, *only.gpus] == [("n1", "e"), ("n1", "G0")]
    assert narrowed(found, LiveScope()) is found
