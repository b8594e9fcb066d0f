"""Samples on their way: stamped with the time of their reading, in order, none lost, and gently."""

import json
import logging
import os
import shutil
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from metering.agent.clock import ServerClock
from metering.agent.config import Config
from metering.agent.reading import Reader
from metering.agent.samples import GpuSample
from metering.agent.telemetry import Telemetry, lines_of, options_of
from tallywatt import lanes
from tallywatt.pace import Pace
from tests.metering.agent.running.conftest import MakeTelemetry
from tests.metering.agent.running.fakes import NODE, FakeClock, FakeGpus, engine_sample
from tests.metering.agent.running.upstream import Reply, Upstream, problem, taking
from tests.metering.agent.running.waiting import quick, until


def gpu(at_ms: int, **fields: Any) -> GpuSample:
    return GpuSample(time=at_ms, node=NODE, gpu="GPU-0", source="nvml", **fields)


def on_disk(folder: Path) -> int:
    return sum(len(lane.segments) for lane in lanes.survey(folder))


def test_samples_arrive_as_they_were_read(upstream: Upstream, telemetry: MakeTelemetry) -> None:
    sending = telemetry()
    sending.start(ServerClock())
    sending.take([gpu(1_790_000_000_123, power_w=412.5, throttle=()), engine_sample(1_790_000_000_123)])
    until(lambda: sending.stats.sent == 2)
    assert upstream.samples == [
        {
            "kind": "gpu",
            "time": 1_790_000_000_123,
            "node": NODE,
            "gpu": "GPU-0",
            "source": "nvml",
            "power_w": 412.5,
            "throttle": [],
        },
        {
            "kind": "engine",
            "time": 1_790_000_000_123,
            "node": NODE,
            "engine": "llama",
            "engine_kind": "vllm",
            "running": 3,
            "up": True,
            "gpus": [],
        },
    ]
    (request,) = upstream.requests
    assert (request.headers["content-type"], request.headers["content-encoding"]) == ("application/x-ndjson", "gzip")


def test_a_day_without_a_server_loses_nothing_and_is_made_up_for_in_order_and_gently(
    config: Config, upstream: Upstream, telemetry: MakeTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 h of readings every 5 s: 17,280 of three GPUs and an engine, the last of them after an agent was killed and followed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 17,280 of them are half a minute; test_kill.py keeps them
    upstream.then = problem(503, "away")
    options = {"pace": Pace(first_wait_s=0.05, pause_s=0.05)}
    clock = FakeClock(until_s=24 * 3600)
    first_ms = clock.now_ms()

    class Node(FakeGpus):
        def read(self, at_ms: int) -> list[Any]:
            return [*super().read(at_ms), engine_sample(at_ms)]

    source = Node(count=3)
    dying = telemetry(**options)
    dying.start(ServerClock())
    half = FakeClock(until_s=12 * 3600)
    Reader(source, dying.take, half).run(threading.Event(), 5.0)
    clock.passed_s = half.passed_s
    dying.close(0)  # its lane is left behind, as by a kill
    following = telemetry(**options)
    following.start(ServerClock())
    Reader(source, following.take, clock).run(threading.Event(), 5.0)
    read = [first_ms + 5000 * number for number in range(17_280)]
    assert source.read_at_ms == read
    assert upstream.taken == []

    upstream.then = taking
    back_at = time.monotonic()
    until(lambda: len(upstream.samples) == 4 * len(read), within_s=60)
    sent = upstream.to("/api/v1/telemetry")
    assert [sample["time"] for sample in upstream.samples[::4]] == read  # every reading, once, oldest first
    assert {sample.get("gpu", sample.get("engine")) for sample in upstream.samples} == {
        "GPU-0",
        "GPU-1",
        "GPU-2",
        "llama",
    }
    assert len(sent) <= 4 * len(read) / 1000 + 20  # what gathers meanwhile goes in large batches
    gaps = [later.at - earlier.at for earlier, later in pairwise(request for request in sent if request.at > back_at)]
    assert min(gaps) >= 0.02  # at most 1 / (0.5 * pause) a second
    until(lambda: on_disk(config.data / "telemetry") == 0)


def test_the_first_attempt_of_a_fleet_is_spread_over_an_interval(upstream: Upstream, telemetry: MakeTelemetry) -> None:
    began = time.monotonic()
    waits = sorted(Pace(first_wait_s=5.0).before_first_s() for _ in range(200))
    assert 0 <= waits[0] < 1
    assert 4 < waits[-1] <= 5
    sending = telemetry(pace=Pace(first_wait_s=0.3))
    sending.start(ServerClock())
    sending.take([gpu(1)])
    until(lambda: upstream.samples)
    assert time.monotonic() - began < 5


def test_a_full_outbox_drops_the_oldest_with_a_warning(
    upstream: Upstream, telemetry: MakeTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    sending = telemetry(outbox_max_bytes=30_000, batch_events=10)
    with caplog.at_level(logging.WARNING, "tallywatt"):
        for number in range(500):
            sending.take([gpu(number)])
    assert sending.stats.dropped > 0
    assert "that were never sent are dropped" in caplog.text
    assert sending.send_all(10)
    times = [sample["time"] for sample in upstream.samples]
    assert times == list(range(500 - len(times), 500))
    assert len(times) == 500 - sending.stats.dropped


def test_a_disk_that_fails_costs_samples_and_not_the_agent(
    config: Config, telemetry: MakeTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    sending = telemetry()
    shutil.rmtree(config.data / "telemetry" / "lanes")
    with caplog.at_level(logging.INFO, "tallywatt.agent"):
        sending.take([gpu(1)])
        sending.take([gpu(2)])
    assert [record.message.partition(":")[0] for record in caplog.records] == ["samples are lost"]


def test_what_the_server_refuses_is_kept_beside_the_outbox(
    config: Config, upstream: Upstream, telemetry: MakeTelemetry
) -> None:
    reject = {"index": 0, "field": "power_w", "reason": "out_of_range", "message": "power_w is -1"}
    upstream.script = [lambda _: Reply(202, json.dumps({"accepted": 1, "rejected": [reject]}).encode())]
    sending = telemetry()
    sending.take([gpu(1, power_w=-1.0), gpu(2)])
    assert sending.send_all(10)
    assert (sending.stats.sent, sending.stats.rejected) == (1, 1)
    (letter,) = (config.data / "telemetry" / "rejected.ndjson").read_text().splitlines()
    assert json.loads(letter)["message"] == "power_w is -1"


def test_a_number_that_is_not_finite_never_leaves(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "tallywatt.agent"):
        lines = lines_of([gpu(1, power_w=float("nan")), gpu(2)])
    assert [json.loads(line)["time"] for line in lines] == [2]
    assert "cannot be sent" in caplog.text


def test_a_new_key_takes_along_what_waits_under_the_old_one(config: Config, upstream: Upstream) -> None:
    """A rotated key must not strand a day of samples."""
    old = Telemetry(quick(options_of(config), key="tw_old_key"))
    old.take([gpu(1)])
    old.close(0)
    new = Telemetry(quick(options_of(config)))
    new.take([gpu(2)])
    assert new.send_all(10)
    new.close(0)
    assert [sample["time"] for sample in upstream.samples] == [1, 2]


def test_the_servers_clock_is_seen_at_every_answer(upstream: Upstream, telemetry: MakeTelemetry) -> None:
    upstream.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    clock = ServerClock()
    sending = telemetry()
    sending.start(clock)
    sending.take([engine_sample(1)])
    until(lambda: sending.stats.sent == 1)
    assert clock.problem is not None
    assert "ahead of the server's" in clock.problem
