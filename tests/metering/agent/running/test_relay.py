"""Requests of local senders on their way to the server."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from metering.agent.aside import Aside
from metering.agent.clock import ServerClock
from metering.agent.config import MIB, Config
from metering.agent.messages import Message
from metering.agent.relay import EVENTS_PATH, TRACES_PATH, Outcome, Relay, options_of, outcome
from metering.agent.stamp import PROTOBUF
from tallywatt.answers import Answer
from tallywatt.errors import OutboxFull
from tallywatt.pace import Pace
from tests.metering.agent.running.upstream import Reply, Upstream, problem
from tests.metering.agent.running.waiting import quick, until

OTLP = {"content-type": PROTOBUF}
PROBLEM = {"content-type": "application/problem+json"}
HTML = {"content-type": "text/html"}
MakeRelay = Callable[..., Relay]


@pytest.fixture
def aside(config: Config) -> Aside:
    return Aside(config.data / "set-aside", MIB)


@pytest.fixture
def relay(config: Config, aside: Aside) -> Iterator[MakeRelay]:
    made: list[Relay] = []

    def make(path: str = TRACES_PATH, *, start: bool = True, **options: Any) -> Relay:
        assert config.receiver is not None
        folder = "traces" if path == TRACES_PATH else "events"
        made.append(Relay(quick(options_of(config, config.receiver, path, folder), **options), aside))
        if start:
            made[-1].start(ServerClock())
        return made[-1]

    yield make
    for each in made:
        each.close(0)


def spans(number: int, size: int = 0) -> Message:
    return Message({"Content-Type": PROTOBUF}, b"%06d" % number + b"\n" * size)


def numbers(upstream: Upstream, path: str = TRACES_PATH) -> list[int]:
    return [int(request.body[:6]) for request in upstream.to(path)]


def letters(config: Config) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((config.data / "set-aside").glob("*.json"))]


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (TRACES_PATH, Answer(200, b"", OTLP), Outcome.TAKEN),
        (TRACES_PATH, Answer(200, b"{}", {"content-type": "application/json; charset=utf-8"}), Outcome.TAKEN),
        (TRACES_PATH, Answer(200, b"<html>", HTML), Outcome.MEND),  # a portal, not the server
        (TRACES_PATH, Answer(204), Outcome.MEND),
        (EVENTS_PATH, Answer(204), Outcome.TAKEN),
        (EVENTS_PATH, Answer(202, b'{"accepted":1,"rejected":[]}'), Outcome.TAKEN),
        (EVENTS_PATH, Answer(202, b"{}"), Outcome.MEND),
        (EVENTS_PATH, Answer(200, b"<html>", HTML), Outcome.MEND),
        *((EVENTS_PATH, Answer(status), Outcome.AGAIN) for status in (0, 408, 425, 429, 500, 502, 503, 504)),
        *((TRACES_PATH, Answer(status, b"{}", PROBLEM), Outcome.NEVER) for status in (400, 413, 415, 422)),
        (TRACES_PATH, Answer(413, b"nginx", HTML), Outcome.NEVER),
        (TRACES_PATH, Answer(400, b"wrong host", HTML), Outcome.MEND),
        (EVENTS_PATH, Answer(403, b'{"detail":"event 3: may not write for the tenant"}', PROBLEM), Outcome.NEVER),
        (EVENTS_PATH, Answer(403, b'{"detail":"this API key lacks the scope ingest"}', PROBLEM), Outcome.MEND),
        *((TRACES_PATH, Answer(status, b"", PROBLEM), Outcome.MEND) for status in (301, 401, 404)),
    ],
)  # fmt: skip
def test_what_an_answer_means(path: str, answer: Answer, expected: Outcome) -> None:
    assert outcome(path, answer) is expected


def test_what_was_taken_arrives_as_it_was_in_order(upstream: Upstream, relay: MakeRelay) -> None:
    sending = relay()
    for number in range(50):
        sending.take(spans(number, size=number * 100))
    until(lambda: sending.stats.sent == 50)
    assert numbers(upstream) == list(range(50))
    assert [len(request.body) for request in upstream.to(TRACES_PATH)] == [6 + 100 * number for number in range(50)]
    assert {request.headers["content-type"] for request in upstream.requests} == {PROTOBUF}


def test_headers_of_events_go_along(upstream: Upstream, relay: MakeRelay) -> None:
    sending = relay(EVENTS_PATH)
    sending.take(Message({"Content-Type": "application/json", "ce-id": "7", "ce-type": "tallywatt.request"}, b"{}"))
    until(lambda: sending.stats.sent == 1)
    (request,) = upstream.requests
    assert (request.path, request.headers["ce-id"], request.headers["ce-type"]) == (
        EVENTS_PATH,
        "7",
        "tallywatt.request",
    )


def test_what_may_pass_is_sent_again_and_order_is_kept(upstream: Upstream, relay: MakeRelay) -> None:
    upstream.script = [problem(503), problem(429, Retry_After="0"), problem(500)]
    sending = relay()
    for number in range(5):
        sending.take(spans(number))
    until(lambda: sending.stats.sent == 5)
    assert [int(request.body[:6]) for request in upstream.requests] == [0, 0, 0, 0, 1, 2, 3, 4]
    assert sending.stats.retried == 3
    assert sending.trouble is None


def test_retry_after_is_honoured(upstream: Upstream, relay: MakeRelay) -> None:
    upstream.script = [problem(429, Retry_After="1")]
    sending = relay()
    sending.take(spans(0))
    until(lambda: sending.stats.sent == 1)
    first, second = upstream.requests
    assert second.at - first.at >= 1


def test_what_a_person_must_mend_holds_up_everything_and_says_so(upstream: Upstream, relay: MakeRelay) -> None:
    upstream.then = problem(401, "this API key is not known")
    sending = relay()
    sending.take(spans(0))
    sending.take(spans(1))
    until(lambda: sending.trouble)
    assert "401" in (sending.trouble or "")
    assert "check the URL and the API key" in (sending.trouble or "")
    assert sending.stats.pending == 2


def test_what_will_never_pass_is_set_aside_with_the_answer_and_the_rest_goes_on(
    config: Config, upstream: Upstream, relay: MakeRelay, caplog: pytest.LogCaptureFixture
) -> None:
    def picky(request: Any) -> Reply:
        return (
            problem(400, "the body is not protobuf")(request)
            if request.body[:6] == b"000001"
            else Reply(200, b"", PROTOBUF)
        )

    upstream.then = picky
    sending = relay()
    with caplog.at_level(logging.ERROR, "tallywatt.agent"):
        for number in range(3):
            sending.take(spans(number))
        until(lambda: sending.stats.pending == 0)
    assert numbers(upstream) == [0, 2]
    assert (sending.stats.sent, sending.stats.rejected) == (2, 1)
    (letter,) = letters(config)
    assert (letter["path"], letter["status"], letter["headers"]) == (TRACES_PATH, 400, {"Content-Type": PROTOBUF})
    assert "the body is not protobuf" in letter["answer"]
    (body,) = (config.data / "set-aside").glob("*.body")
    assert body.read_bytes() == spans(1).body
    assert "will never be taken and is set aside" in caplog.text


def test_a_disk_without_room_for_what_is_refused_holds_it_until_there_is(
    upstream: Upstream, relay: MakeRelay, aside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metering.agent import relay as relay_module

    monkeypatch.setattr(relay_module, "AFTER_DISK_ERROR_S", 0.02)
    kept, failures = aside.keep, [OSError("no space"), OSError("no space")]

    def failing(path: str, message: Message, answer: Answer) -> Path:
        if failures:
            raise failures.pop()
        return kept(path, message, answer)

    monkeypatch.setattr(aside, "keep", failing)
    upstream.script = [problem(422)]
    sending = relay()
    sending.take(spans(0))
    until(lambda: sending.stats.rejected == 1)
    assert failures == []
    assert aside.count() == 1


def test_the_oldest_that_was_set_aside_goes_first_when_there_is_no_room(tmp_path: Path) -> None:
    aside = Aside(tmp_path / "aside", 250)
    for number in range(4):
        aside.keep(TRACES_PATH, spans(number, 94), Answer(400))
    bodies = [path.read_bytes() for path in sorted(aside.folder.glob("*.body"))]
    assert bodies == [spans(2, 94).body, spans(3, 94).body]
    assert aside.count() == 2
    aside.keep(TRACES_PATH, spans(5, 1000), Answer(400))
    assert aside.count() == 1


@pytest.mark.parametrize("encoding", ["protobuf", "json", "events"])
def test_what_the_server_refused_in_part_is_told(
    upstream: Upstream, relay: MakeRelay, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "span 1: input_tokens is -1"
    receipt = {"accepted": 1, "rejected": [{"index": 1, "message": "input_tokens is -1"}]}
    replies = {
        "protobuf": Reply(200, partial.SerializeToString(), PROTOBUF),
        "json": Reply(200, b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"input_tokens is -1"}}'),
        "events": Reply(202, json.dumps(receipt).encode()),
    }
    upstream.script = [lambda _: replies[encoding]]
    sending = relay(EVENTS_PATH if encoding == "events" else TRACES_PATH)
    with caplog.at_level(logging.WARNING, "tallywatt.agent"):
        sending.take(spans(0))
        until(lambda: sending.stats.sent == 1)
        until(lambda: "input_tokens is -1" in caplog.text)
    assert "quarantine" in caplog.text


def test_a_full_folder_takes_nothing_more_and_loses_nothing(upstream: Upstream, relay: MakeRelay) -> None:
    upstream.then = problem(503)
    sending = relay(outbox_max_bytes=10_000)
    taken = 9
    for number in range(taken):
        sending.take(spans(number, 1000))
    with pytest.raises(OutboxFull):
        sending.take(spans(taken, 1000))
    upstream.then = lambda _: Reply(200, b"", PROTOBUF)
    until(lambda: sending.stats.sent == taken)
    assert numbers(upstream) == list(range(taken))
    sending.take(spans(taken))


def test_what_an_earlier_agent_left_goes_first(upstream: Upstream, relay: MakeRelay) -> None:
    left = relay(start=False)
    for number in range(3):
        left.take(spans(number))
    left.close(0)
    following = relay(start=False)
    following.take(spans(3))
    following.start(ServerClock())
    until(lambda: following.stats.sent == 4)
    assert numbers(upstream) == [0, 1, 2, 3]


def test_a_backlog_is_sent_no_faster_than_the_setting_says(upstream: Upstream, relay: MakeRelay) -> None:
    """200 kB in files of 10 kB at 400 kB/s is half a second; the jitter makes a quarter to three quarters of it."""
    sending = relay(start=False, batch_bytes=10_000, pace=Pace(most_bytes_per_s=400_000))
    for number in range(20):
        sending.take(spans(number, 10_000))
    began = time.monotonic()
    sending.start(ServerClock())
    until(lambda: sending.stats.sent == 20)
    assert time.monotonic() - began >= 0.2
    assert min(later.at - earlier.at for earlier, later in pairwise(upstream.requests)) >= 0.012
    assert numbers(upstream) == list(range(20))
