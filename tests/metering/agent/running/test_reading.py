"""The loop: when it reads, and what it does with what goes wrong."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from metering.agent.clock import SystemClock
from metering.agent.reading import Problems, Reader
from metering.agent.samples import Sample
from tests.metering.agent.running.fakes import FakeClock, FakeGpus


def run(clock: FakeClock, source: Any, interval_s: float = 5.0, wait_s: float = 0.0) -> list[Sequence[Sample]]:
    taken: list[Sequence[Sample]] = []
    Reader(source, taken.append, clock).run(threading.Event(), interval_s, wait_s)
    return taken


def test_it_reads_every_interval_whatever_a_reading_takes() -> None:
    clock = FakeClock(now_ms=1_000_000, until_s=60)
    source = FakeGpus(clock, slow_s=1.7)
    taken = run(clock, source)
    assert source.read_at_ms == [1_000_000 + 5000 * number for number in range(12)]
    assert len(taken) == 12
    assert [sample.time for sample in taken[3]] == [source.read_at_ms[3]] * 2


def test_the_first_reading_may_wait() -> None:
    clock = FakeClock(now_ms=0, until_s=20)
    source = FakeGpus(clock)
    run(clock, source, wait_s=2.5)
    assert source.read_at_ms == [2500, 7500, 12500, 17500]


def test_a_reading_that_takes_longer_than_an_interval_leaves_readings_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock(now_ms=0, until_s=40)
    source = FakeGpus(clock, slow_s=12)
    with caplog.at_level(logging.WARNING, "tallywatt.agent"):
        run(clock, source)
    assert source.read_at_ms == [0, 15_000, 30_000]
    assert "took 12.0 s; readings left out: 2" in caplog.text


def test_a_slow_engine_does_not_delay_the_gpus() -> None:
    stop, clock, released = threading.Event(), SystemClock(), threading.Event()
    gpus = FakeGpus()

    class Stuck(FakeGpus):
        def read(self, at_ms: int) -> Sequence[Sample]:
            released.wait(20)
            return super().read(at_ms)

    stuck = Stuck(label="stuck")
    readers = [Reader(source, lambda _: None, clock) for source in (gpus, stuck)]
    threads = [threading.Thread(target=reader.run, args=(stop, 0.05)) for reader in readers]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + 10
    while len(gpus.read_at_ms) < 5 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert len(gpus.read_at_ms) >= 5
    assert stuck.read_at_ms == []
    stop.set()
    released.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_problems_are_told_when_they_begin_and_when_they_end(caplog: pytest.LogCaptureFixture) -> None:
    problems = Problems("nvml")
    with caplog.at_level(logging.INFO, "tallywatt.agent"):
        for found in (["a"], ["a"], ["a", "b"], ["b"], []):
            problems.are(found)
    assert [record.message for record in caplog.records] == [
        "nvml: a",
        "nvml: b",
        "nvml: no longer: a",
        "nvml: no longer: b",
    ]


def test_a_fault_of_ours_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock(until_s=12)

    class Broken(FakeGpus):
        def read(self, at_ms: int) -> Sequence[Sample]:
            super().read(at_ms)
            raise RuntimeError("a fault")

    source = Broken(clock)
    reader = Reader(source, lambda _: None, clock)
    reader.run(threading.Event(), 5.0)
    assert len(source.read_at_ms) == 3
    assert reader.has_read.is_set()
    assert "a fault of this agent" in caplog.text
