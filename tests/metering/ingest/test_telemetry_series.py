"""Senders that make up names: what is one GPU, engine or label too many is refused, and what was there before is taken on."""

import logging
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from pytest_django.fixtures import Settings

from metering.ingest import telemetry_limits
from metering.ingest.telemetry_limits import HOUR_S
from metering.redis_link import link
from tests.metering.ingest.samples import ARROW, NOW_MS, Node, arrow

TOO_MANY = "too_many_series"


@pytest.fixture
def node(db: None, clickhouse: None, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(telemetry_limits._Pause, "until", 0.0)
    return Node.new()


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The hour in which requests arrive; it can be moved."""
    now = [1_000_000]
    # This module's clock alone: to the spool its own files would be decades old, and it would take no more.
    clock = SimpleNamespace(time=lambda: now[0] * HOUR_S + 1800, monotonic=time.monotonic)
    monkeypatch.setattr(telemetry_limits, "time", clock)
    return now


def taken(node: Node, *samples: dict[str, Any]) -> int:
    return int(node.post(list(samples)).json()["accepted"])


def refused(node: Node, *samples: dict[str, Any]) -> Counter[tuple[str, str]]:
    answer = node.post(list(samples)).json()
    assert answer["accepted"] + len(answer["rejected"]) == len(samples)
    return Counter((each["field"], each["reason"]) for each in answer["rejected"])


def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> redis.Redis:
        return redis.Redis(unix_socket_path=f"/nowhere/{uuid.uuid4().hex}")

    monkeypatch.setattr(telemetry_limits, "link", away)


@pytest.mark.parametrize("redis_is_there", [True, False])
def test_of_ten_thousand_label_values_only_so_many_are_taken(
    node: Node, redis_is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not redis_is_there:
        without_redis(monkeypatch)
    answer = node.post([node.gpu(gpu=f"GPU-{number}") for number in range(10_000)]).json()
    assert answer["accepted"] == 256
    first = answer["rejected"][0]
    assert (first["index"], first["field"], first["reason"]) == (256, "gpu", TOO_MANY)
    assert first["message"].startswith(f"node {node.name!r} has reported 256 different GPUs in this hour")
    assert node.quarantined("count()", "1") == [(9_744,)]
    assert node.stored("gpu_samples", "uniqExact(gpu)", "1") == [(256,)]


def test_the_limit_holds_over_the_requests_of_an_hour_and_what_was_there_is_taken_on(
    node: Node, hour: list[int]
) -> None:
    assert taken(node, *(node.gpu(gpu=f"a-{number}") for number in range(200))) == 200
    assert taken(node, *(node.gpu(gpu=f"b-{number}") for number in range(100))) == 56
    assert taken(node, *(node.gpu(gpu=f"a-{number}", time=NOW_MS + 1) for number in range(200))) == 200
    assert taken(node, node.gpu(gpu="b-55"), node.gpu(gpu="b-56")) == 1
    hour[0] += 1
    assert taken(node, node.gpu(gpu="b-56")) == 1


def test_another_node_and_another_key_have_room_of_their_own(node: Node) -> None:
    assert taken(node, *(node.gpu(gpu=f"GPU-{number}") for number in range(300))) == 256
    other, stranger = Node.new(), Node.new()
    assert taken(node, *(other.gpu(gpu=f"GPU-{number}") for number in range(10))) == 10
    assert taken(stranger, *(node.gpu(gpu=f"other-{number}") for number in range(10))) == 10


@pytest.mark.parametrize(
    ("field", "most", "make"),
    [
        ("mig", 8, lambda node, number: node.gpu(mig=f"{number}/0")),
        ("engine", 256, lambda node, number: node.engine(engine=f"vllm-{number}")),
        ("model", 512, lambda node, number: node.engine(model=f"m-{number}")),
        ("model", 512, lambda node, number: node.engine(region=f"r-{number}")),
        ("name", 512, lambda node, number: node.gpu(name=f"H{number}")),
        ("name", 512, lambda node, number: node.gpu(cluster=f"c-{number}")),
        ("gpus", 256, lambda node, number: node.engine(gpus=[f"GPU-{number}"])),
    ],
)
def test_every_name_has_a_limit(node: Node, field: str, most: int, make: Any) -> None:
    assert refused(node, *(make(node, number) for number in range(most + 20))) == {(field, TOO_MANY): 20}
    assert refused(node, make(node, most + 20), make(node, 0)) == {(field, TOO_MANY): 1}


def test_each_gpu_has_its_own_room_for_mig_instances(node: Node) -> None:
    whole = [node.gpu(gpu=f"GPU-{gpu}", mig=f"{mig}/0") for gpu in range(8) for mig in range(7)]
    assert taken(node, *whole, *(node.gpu(gpu=f"GPU-{gpu}") for gpu in range(8))) == 64


def test_a_key_has_a_limit_over_all_nodes(node: Node, settings: Settings, hour: list[int]) -> None:
    settings.TELEMETRY_MAX_SERIES = 30
    spread = [Node(f"{node.name}-{number}", node.key) for number in range(40)]
    assert refused(node, *(each.gpu() for each in spread)) == {("node", TOO_MANY): 10}
    assert refused(node, *(each.gpu(time=NOW_MS + 1) for each in spread)) == {("node", TOO_MANY): 10}
    assert refused(node, *(each.engine() for each in spread[:3])) == {("node", TOO_MANY): 3}
    settings.TELEMETRY_MAX_SERIES = 41
    assert refused(node, *(each.gpu() for each in spread)) == {}


def test_a_refused_name_takes_no_place(node: Node) -> None:
    """Else a flood of one node would use up what its key may report of others."""
    assert taken(node, *(node.gpu(gpu=f"GPU-{number}") for number in range(5_000))) == 256
    sizes = {key.decode().split(":")[4]: link().scard(key) for key in link().scan_iter(f"*series:{node.prefix}:*")}
    assert sizes == {"all": 256, "gpus": 256, "labels": 1}
    assert all(0 < link().ttl(key) <= 2 * HOUR_S for key in link().scan_iter(f"*series:{node.prefix}:*"))


def test_what_another_rule_refuses_is_not_counted(node: Node) -> None:
    assert taken(node, *(node.gpu(gpu=f"bad-{number}", power_w=-1) for number in range(300))) == 0
    assert taken(node, *(node.gpu(gpu=f"GPU-{number}") for number in range(256))) == 256


def test_a_stream_of_arrow_is_limited_too_and_its_rows_are_kept_as_json(node: Node) -> None:
    body = arrow(*(node.gpu(gpu=f"GPU-{number}") for number in range(258)))
    assert node.post(body, ARROW).json()["accepted"] == 256
    (first, _) = node.quarantined("reason, JSONExtractString(raw, 'gpu'), JSONExtractString(raw, 'kind')")
    assert first == (TOO_MANY, "GPU-256", "gpu")


def test_most_requests_ask_redis_one_thing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = [node.gpu(gpu=f"GPU-{number}", mig=mig) for number in range(8) for mig in ("1/0", "2/0")] + [node.engine()]
    node.post(fleet)
    asked: list[int] = []
    run = telemetry_limits._Counts._run
    monkeypatch.setattr(
        telemetry_limits._Counts, "_run", lambda self, commands: asked.append(len(commands)) or run(self, commands)
    )
    node.post(fleet)
    assert asked == [2]


def test_after_a_failure_redis_is_left_alone_for_a_while(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_redis(monkeypatch)
    with caplog.at_level(logging.WARNING, telemetry_limits.__name__):
        for _ in range(3):
            assert taken(node, node.gpu(), node.engine()) == 2
    assert len([record for record in caplog.records if record.name == telemetry_limits.__name__]) == 1
