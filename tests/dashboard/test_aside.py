"""Readings that are taken aside."""

import threading

import pytest

from dashboard.operator.aside import Aside

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
