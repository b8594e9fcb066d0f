"""What the client does with each answer of a server."""

import json
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tallywatt import Client, Closed, OutboxFull, Rejected, RequestEvent
from tests.tallywatt.conftest import MakeClient
from tests.tallywatt.server import Reply, Request, StrictServer, problem, receipt, refusing

TOKENS = {"model": "m", "input_tokens": 3, "output_tokens": 2}


def record(client: Client, *ids: str, **fields: Any) -> None:
    for each in ids:
        client.record(id=each, **TOKENS, **fields)


def until(what: Any, within_s: float = 10.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def letters(outbox: Path) -> list[dict[str, Any]]:
    path = outbox / "rejected.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("in_memory", [False, True])
def test_what_is_recorded_arrives_once_by_itself(server: StrictServer, client: MakeClient, in_memory: bool) -> None:
    sending = client(outbox=None) if in_memory else client()
    record(sending, "a", "b")
    until(lambda: sending.stats.sent == 2)
    assert server.taken == {"a": 1, "b": 1}
    assert sending.stats.pending == 0


def test_what_is_recorded_together_goes_together(server: StrictServer, client: MakeClient) -> None:
    sending = client(batch_age_s=60, batch_events=4)
    record(sending, *"abcdefghij")
    assert sending.flush()
    assert [len(request.events) for request in server.requests] == [4, 4, 2]


def test_an_event_waits_no_longer_than_its_batch_may_age(server: StrictServer, client: MakeClient) -> None:
    sending = client(batch_age_s=0.2)
    began = time.monotonic()
    record(sending, "a")
    until(lambda: sending.stats.sent == 1)
    assert time.monotonic() - began >= 0.2


def test_defaults_are_in_every_event_that_does_not_say_otherwise(server: StrictServer, client: MakeClient) -> None:
    sending = client(defaults={"source": "gateway-1", "region": "eu"})
    record(sending, "a")
    record(sending, "b", region="us")
    sending.record_event(RequestEvent(id="c", **TOKENS))
    assert sending.flush()
    found = {event["id"]: (event["source"], event["region"]) for request in server.requests for event in request.events}
    assert found == {"a": ("gateway-1", "eu"), "b": ("gateway-1", "us"), "c": ("gateway-1", "eu")}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_retried_with_the_same_bytes(server: StrictServer, client: MakeClient, status: int) -> None:
    server.script = [problem(status, "busy")] * 3
    sending = client(gzip=True, batch_age_s=60)
    record(sending, "a", "b")
    assert sending.flush()
    assert len(server.requests) == 4
    assert len({request.body for request in server.requests}) == 1
    assert (sending.stats.retried, sending.stats.sent) == (3, 2)
    assert sending.last_error is None


def test_retry_after_is_honoured(server: StrictServer, client: MakeClient) -> None:
    server.script = [problem(429, "full", Retry_After="1")]
    sending = client()
    record(sending, "a")
    began = time.monotonic()
    assert sending.flush()
    assert 1.0 <= time.monotonic() - began < 10


def test_a_server_that_is_away_is_waited_for(client: MakeClient) -> None:
    server = StrictServer()
    sending = client(url=server.url)
    server.close()
    record(sending, "a")
    until(lambda: sending.stats.retried > 2)
    assert "ConnectError" in (sending.last_error or "")
    assert sending.stats.pending == 1


def test_an_answer_that_never_comes_is_a_timeout_and_the_batch_goes_again(
    server: StrictServer, client: MakeClient
) -> None:
    def slow(request: Request) -> Reply:
        time.sleep(0.5)
        return receipt(request)

    server.script = [slow]
    sending = client(timeout_s=0.2)
    record(sending, "a")
    assert sending.flush()
    assert sending.stats.retried >= 1
    assert server.taken["a"] >= 2  # taken twice: the same id, which the server counts once


def test_rejected_events_are_kept_and_told_and_the_rest_is_taken(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    told: list[Rejected] = []
    server.script = [refusing(1, field="input_tokens", reason="invariant", message="no")]
    sending = client(on_rejected=told.append, batch_age_s=60)
    record(sending, "a", "b", "c")
    assert sending.flush()
    assert server.taken == {"a": 1, "c": 1}
    assert [(one.event["id"], one.reason, one.field, one.message) for one in told] == [
        ("b", "invariant", "input_tokens", "no")
    ]
    (letter,) = letters(outbox)
    assert (letter["event"]["id"], letter["reason"]) == ("b", "invariant")
    assert (sending.stats.sent, sending.stats.rejected, sending.stats.pending) == (2, 1, 0)


def test_a_callback_that_fails_holds_up_nothing(server: StrictServer, client: MakeClient) -> None:
    def broken(one: Rejected) -> None:
        raise RuntimeError("a fault of the program")

    server.script = [refusing(0)]
    sending = client(on_rejected=broken)
    record(sending, "a")
    assert sending.flush()
    record(sending, "b")
    assert sending.flush()


@pytest.mark.parametrize("status", [400, 422])
def test_rejects_are_read_from_a_refusal_too(server: StrictServer, client: MakeClient, status: int) -> None:
    reject = {"index": 0, "field": "model", "reason": "too_long", "message": "no"}
    server.script = [lambda request: Reply(status, {"accepted": 1, "rejected": [reject]})]
    sending = client(batch_age_s=60)
    record(sending, "a", "b")
    assert sending.flush()
    assert len(server.requests) == 1
    assert (sending.stats.sent, sending.stats.rejected) == (1, 1)


def test_a_body_that_is_too_large_is_halved(server: StrictServer, client: MakeClient, outbox: Path) -> None:
    def at_most_three(request: Request) -> Reply:
        small = len(request.events) <= 3 and all(event["id"] != "huge" for event in request.events)
        return receipt(request) if small else Reply(413, "too large")

    server.then = at_most_three
    sending = client(batch_age_s=60)
    record(sending, *"abcdefgh", "huge")
    assert sending.flush()
    assert server.taken == dict.fromkeys("abcdefgh", 1)
    assert [(one["event"]["id"], one["reason"]) for one in letters(outbox)] == [("huge", "too_large")]


def test_a_refusal_that_names_no_event_is_narrowed_down_to_it(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    def picky(request: Request) -> Reply:
        bad = any(event["id"] == "bad" for event in request.events)
        return problem(400, "cannot be read")(request) if bad else receipt(request)

    server.then = picky
    sending = client(batch_age_s=60)
    record(sending, "a", "b", "bad", "c", "d")
    assert sending.flush()
    assert server.taken == dict.fromkeys("abcd", 1)
    assert [one["event"]["id"] for one in letters(outbox)] == ["bad"]


def test_more_rejects_than_the_answer_lists_are_asked_for_in_halves(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    def lists_one(request: Request) -> Reply:
        rejected = [{"index": index, "reason": "invariant"} for index in range(len(request.events))]
        return Reply(202, {"batch": "b", "accepted": 0, "rejected": rejected[:1]})

    server.then = lists_one
    sending = client(batch_age_s=60)
    record(sending, *"abcd")
    assert sending.flush()
    assert [one["event"]["id"] for one in letters(outbox)] == list("abcd")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(
            401,
            {"title": "Unauthorized", "detail": "this API key is not known"},
            content_type="application/problem+json",
        ),
        Reply(403, {"title": "Forbidden", "detail": "this API key lacks the scope ingest"}),
        Reply(404),
        Reply(301, headers={"Location": "https://elsewhere"}),
        Reply(200, "<html>a portal of some hotel</html>", content_type="text/html"),
        Reply(204),
        Reply(202, {"accepted": 5, "rejected": []}),
        Reply(400, "Bad Request (wrong host)", content_type="text/html"),
        Reply(415, {"detail": "not spoken"}),
    ],
)
def test_what_a_person_must_mend_is_said_and_nothing_is_given_up(
    server: StrictServer, client: MakeClient, outbox: Path, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [lambda request: reply] * 2
    sending = client(refused_wait_s=0.3, batch_age_s=60)
    with caplog.at_level(logging.INFO, "tallywatt"):
        record(sending, "a", "b")
        began = time.monotonic()
        assert not sending.flush(timeout_s=0.2)
        assert f"HTTP {reply.status}" in (sending.last_error or "")
        assert sending.flush()  # mended
    assert time.monotonic() - began >= 0.6
    assert len(server.requests) == 3
    assert server.taken == {"a": 1, "b": 1}
    assert letters(outbox) == []
    assert [log.message.partition(":")[0] for log in caplog.records if log.name == "tallywatt"] == [
        "held up, trying again",
        "the server answers again",
    ]


def test_events_of_a_foreign_tenant_do_not_hold_up_the_others(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    def walls(request: Request) -> Reply:
        for index, event in enumerate(request.events):
            if event.get("tenant") not in {None, "own"}:
                return problem(403, f"event {index}: this API key may not write for the tenant")(request)
        return receipt(request)

    server.then = walls
    sending = client(batch_age_s=60)
    record(sending, "a")
    record(sending, "b", "c", tenant="other")
    record(sending, "d", tenant="own")
    record(sending, "e", tenant="third")
    assert sending.flush()
    assert server.taken == {"a": 1, "d": 1}
    assert [(one["event"]["id"], one["reason"]) for one in letters(outbox)] == [
        (each, "foreign_tenant") for each in "bce"
    ]


def test_arrow_says_the_same_as_ndjson(server: StrictServer, client: MakeClient) -> None:
    fields: dict[str, Any] = {
        "tenant": "t",
        "cached_input_tokens": 1,
        "ttft_ms": 0.5,
        "gpus": ["g1", "g2"],
        "stream": True,
        "attributes": {"team": "ü"},
        "tier": "batch",
    }
    sending = client(format="arrow", batch_age_s=60, outbox=None)
    record(sending, "full", time=1_769_860_800_123, **fields)
    record(sending, "bare")
    assert sending.flush()
    (request,) = server.requests
    full, bare = request.events
    assert full.pop("time").isoformat() == "2026-01-31T12:00:00.123000+00:00"
    assert full == {"id": "full", **TOKENS, **fields}
    bare.pop("time")
    assert bare == {
        "id": "bare",
        **TOKENS,
        "tenant": None,
        "cached_input_tokens": 0,
        "ttft_ms": None,
        "gpus": [],
        "stream": False,
        "attributes": {},
        "tier": "standard",
    }


def test_a_server_that_does_not_take_arrow_gets_ndjson(server: StrictServer, client: MakeClient) -> None:
    server.script = [problem(415, "not spoken")]
    sending = client(format="arrow", gzip=True)
    record(sending, "a")
    assert sending.flush()
    record(sending, "b")
    assert sending.flush()
    assert [(request.content_type, request.encoding) for request in server.requests] == [
        ("application/vnd.apache.arrow.stream", "gzip"),
        ("application/x-ndjson", ""),
        ("application/x-ndjson", ""),
    ]


def test_a_full_queue_in_memory_says_so(client: MakeClient) -> None:
    sending = client(outbox=None, url="http://127.0.0.1:9", queue_max_bytes=500)
    with pytest.raises(OutboxFull):
        record(sending, *"abcdefghij")
    assert sending.stats.recorded == sending.stats.pending < 10


def test_close_sends_the_rest_and_then_takes_nothing(server: StrictServer, client: MakeClient) -> None:
    sending = client(batch_age_s=60)
    record(sending, "a")
    assert sending.close()
    assert server.taken == {"a": 1}
    with pytest.raises(Closed):
        record(sending, "b")
    assert sending.close()


def test_a_client_that_was_never_used_leaves_nothing_behind(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    before = set(threading.enumerate())
    unused = client()
    assert set(threading.enumerate()) <= before
    assert unused.close()
    assert list((outbox / "lanes").iterdir()) == []


def test_close_is_bounded_and_leaves_the_rest_to_the_next_client(
    server: StrictServer, client: MakeClient, outbox: Path
) -> None:
    server.then = problem(503, "down")
    sending = client(retry_longest_s=60, retry_first_s=60)
    record(sending, "a")
    began = time.monotonic()
    assert not sending.close(timeout_s=0.3)
    assert time.monotonic() - began < 30
    server.then = receipt
    follower = client()
    follower.flush()  # it starts
    until(lambda: follower.stats.sent == 1)
    assert server.taken == {"a": 1}


def test_many_threads_may_record_at_once(server: StrictServer, client: MakeClient) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sending = client(fsync_ms=0, batch_events=17)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: sending.record(**TOKENS, source=str(number)), range(400)))
    assert sending.flush()
    assert server.taken == Counter(ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "tallywatt.example.com"}, "url is"),
        ({"url": "ftp://x"}, "url is"),
        ({"key": ""}, "not an API key"),
        ({"key": "tw_x\n"}, "not an API key"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"when_full": "panic"}, "when_full is"),
        ({"batch_events": 0}, "batch_events is 0"),
        ({"fsync_ms": -1}, "fsync_ms is -1"),
        ({"defaults": {"modell": "m"}}, "defaults has 'modell'"),
        ({"defaults": {"id": "x"}}, "defaults has 'id'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(client: MakeClient, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        client(**options)


def test_the_key_is_not_shown() -> None:
    from tallywatt.options import Options

    assert "secret" not in repr(Options(url="http://x", key="tw_secret", outbox=None))
