"""How readings are shared and kept."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.operator import shelf
from dashboard.operator.shelf import Shelf


class Source:
    def __init__(self, *answers: object, takes_s: float = 0.0) -> None:
        self.answers, self.takes_s, self.reads = iter(answers), takes_s, 0

    def __call__(self) -> object:
        self.reads += 1
        time.sleep(self.takes_s)
        answer = next(self.answers, self.reads)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_who_asks_together_waits_for_one_reading() -> None:
    held, source = Shelf(), Source(takes_s=0.1)
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: held.kept("a", 60, source), range(10)))
    assert (found, source.reads) == ([1] * 10, 1)
    held.kept("b", 60, source)
    assert source.reads == 2


def test_a_reading_is_kept_for_as_long_as_it_may_be_and_then_taken_anew() -> None:
    held, source = Shelf(), Source()
    assert not held.at_hand("a", 60)
    assert (held.kept("a", 60, source), held.kept("a", 60, source)) == (1, 1)
    assert held.at_hand("a", 60)
    time.sleep(0.02)
    assert not held.at_hand("a", 0.01)
    assert held.kept("a", 0.01, source) == 2


def test_a_failed_reading_is_tried_again_by_the_next_who_asks() -> None:
    held, source = Shelf(), Source(RuntimeError("down"), "up")
    with pytest.raises(RuntimeError, match="down"):
        held.kept("a", 60, source)
    assert held.kept("a", 60, source) == "up"


def test_who_waited_for_a_reading_that_failed_does_not_try_it_again_one_after_another() -> None:
    held, source = Shelf(), Source(*[RuntimeError("down")] * 10, takes_s=0.2)
    failures, lock = [], threading.Lock()

    def ask() -> None:
        try:
            held.kept("a", 60, source)
        except RuntimeError as error:
            with lock:
                failures.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, source.reads) == (["down"] * 8, 1)


def test_readings_that_nobody_asks_for_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "KEPT_S", 0.05)
    held, source = Shelf(), Source()
    for n in range(50):
        held.kept(n, 60, source)
    time.sleep(0.06)
    held.kept("last", 60, source)
    assert len(held) == 1


def test_a_reading_in_two_is_not_asked_for_where_it_is_at_hand() -> None:
    shelf, asked = Shelf(), []

    def ask() -> Callable[[], int]:
        asked.append(1)
        return lambda: len(asked)

    assert shelf.asked("a", 60, ask)() == 1
    assert shelf.asked("a", 60, ask)() == 1
    assert len(asked) == 1
    assert shelf.asked("a", -1, ask)() == 2
