"""Readings at once, and those that the first HTML of a page waits for."""

import threading
import time

import pytest

from dashboard.operator import together as readings
from dashboard.operator.together import InTime, nothing, together


def slowly(go: threading.Event) -> str:
    go.wait(10)
    return "slow"


def test_all_are_given_in_their_order() -> None:
    assert together(lambda: 1, lambda: 2, lambda: 3) == [1, 2, 3]
    assert InTime()(lambda: 1, lambda: 2, lambda: 3) == [1, 2, 3]


def test_what_is_not_there_in_time_is_left_out_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "GLANCE_S", 0.2)
    go, ended = threading.Event(), threading.Event()

    def reading() -> str:
        found = slowly(go)
        ended.set()
        return found

    begun = time.monotonic()
    assert InTime()(lambda: "mine", lambda: "quick", reading) == ["mine", "quick", None]
    assert time.monotonic() - begun < 5
    assert not ended.is_set()
    go.set()
    assert ended.wait(5)


def test_what_has_not_begun_in_time_is_never_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "GLANCE_S", 0.1)
    go, begun = threading.Event(), []
    workers = readings._glances._max_workers
    busy = [lambda: slowly(go)] * workers
    assert InTime()(nothing, *busy, lambda: begun.append(1)) == [None] * (workers + 2)
    assert InTime()(nothing, lambda: begun.append(2)) == [None, None]
    go.set()
    monkeypatch.setattr(readings, "GLANCE_S", 10.0)
    assert InTime()(nothing, lambda: "again") == [None, "again"]
    assert begun == []


def test_once_the_time_is_over_nothing_more_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "GLANCE_S", 0.0)
    asked: list[int] = []
    assert InTime()(lambda: "mine", lambda: asked.append(1)) == ["mine", None]
    assert asked == []


@pytest.mark.parametrize("gather", [together, InTime])
def test_what_fails_in_time_is_raised(gather: type) -> None:
    ask = gather() if gather is InTime else gather

    def fails() -> None:
        raise RuntimeError("no server")

    with pytest.raises(RuntimeError, match="no server"):
        ask(nothing, fails)
    with pytest.raises(RuntimeError, match="no server"):
        ask(fails, nothing)
