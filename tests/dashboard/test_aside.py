"""Readings that are taken aside."""

import threading
import time

import pytest

from dashboard.operator import aside as asides
from dashboard.operator.aside import AT_ONCE, Aside

pytestmark = pytest.mark.django_db  # a thread closes its connections


def test_the_first_who_asks_gets_nothing_and_the_next_what_was_read() -> None:
    aside = Aside()
    assert aside.latest("a", 60, 60, lambda: 1) is None
    aside.settle()
    assert aside.latest("a", 60, 60, lambda: 2) == 1


def test_while_it_is_read_again_the_last_one_stands_and_nobody_waits() -> None:
    aside, go = Aside(), threading.Event()
    aside.latest("a", 60, 60, lambda: 1)
    aside.settle()

    def slowly() -> int:
        go.wait(10)
        return 2

    assert [aside.latest("a", -1, 60, slowly) for _ in range(3)] == [1, 1, 1]
    go.set()
    aside.settle()
    assert aside.latest("a", 60, 60, lambda: 3) == 2


def test_what_is_too_old_to_be_true_is_not_shown() -> None:
    aside = Aside()
    aside.latest("a", 60, 60, lambda: 1)
    aside.settle()
    assert aside.latest("a", 60, -1, lambda: 1) is None


def test_a_failure_is_told_to_the_next_who_asks_and_then_it_is_tried_again() -> None:
    aside = Aside()

    def fails() -> int:
        raise RuntimeError("no server")

    aside.latest("a", 60, 60, fails)
    aside.settle()
    with pytest.raises(RuntimeError, match="no server"):
        aside.latest("a", 60, 60, lambda: 1)
    aside.settle()
    assert aside.latest("a", 60, 60, lambda: 2) == 1
    aside.clear()
    assert aside.latest("a", 60, 60, lambda: 2) is None
    aside.settle()


def test_what_nobody_asks_for_any_more_when_its_turn_comes_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    aside, go, read = Aside(), threading.Event(), []
    for number in range(AT_ONCE):
        aside.latest(number, 60, 60, lambda: go.wait(10))
    aside.latest("left", 60, 60, lambda: read.append("left"))
    aside.latest("wanted", 60, 60, lambda: read.append("wanted"))
    monkeypatch.setattr(asides, "WANTED_S", 0.2)
    time.sleep(0.3)
    aside.latest("wanted", 60, 60, lambda: read.append("twice"))
    go.set()
    aside.settle()
    assert read == ["wanted"]
    monkeypatch.undo()
    aside.latest("left", 60, 60, lambda: read.append("after all"))
    aside.settle()
    assert read == ["wanted", "after all"]
