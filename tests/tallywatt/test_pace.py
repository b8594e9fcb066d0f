"""What the node agent needs beyond a client: other endpoints, other records, and a gentle pace."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from tallywatt import segments
from tallywatt.answers import Answer
from tallywatt.deadletters import DeadLetters
from tallywatt.delivery import Delivery, Trouble
from tallywatt.options import Options
from tallywatt.outbox import Outbox
from tallywatt.pace import Pace
from tallywatt.sending import Sending
from tallywatt.stats import Counters
from tallywatt.threads import Deadline, Sender, drive
from tallywatt.wire import Body, Encoder
from tests.tallywatt.server import KEY, StrictServer


def sending_of(options: Options, folder: Path) -> tuple[Outbox, Sending]:
    counters = Counters()
    store = Outbox(folder, options.key, options.limits, counters)
    delivery = Delivery(Encoder("ndjson", compress=False), options.backoff, counters, Trouble())
    return store, Sending(store, delivery, DeadLetters(None, None), counters, options.pace)


def test_the_default_pace_holds_up_nothing() -> None:
    assert Pace().before_first_s() == 0
    assert Pace().between_s(10**9) == 0


def test_every_pause_is_drawn_anew_around_its_mean() -> None:
    pauses = [Pace(pause_s=2.0).between_s(0) for _ in range(300)]
    assert 1.0 <= min(pauses) < 1.3
    assert 2.7 < max(pauses) <= 3.0
    assert 0.5 <= Pace(pause_s=0.1, most_bytes_per_s=1000).between_s(1000) <= 1.5  # the longer of the two


def test_batches_that_wait_are_sent_with_pauses_and_one_alone_is_not_held_up(
    server: StrictServer, outbox: Path
) -> None:
    def options(pause_s: float) -> Options:
        return Options(url=server.url, key=KEY, outbox=outbox, batch_events=1, pace=Pace(pause_s=pause_s))

    store, patient = sending_of(options(1000), outbox)
    at: list[float] = []

    def send(body: Body) -> Answer:
        at.append(time.monotonic())
        return Answer(202, b'{"accepted":1,"rejected":[]}')

    store.append(b'{"id":"alone"}')
    assert drive(patient.until_empty(), send, Deadline(10))
    store.close()
    store, sending = sending_of(options(0.1), outbox)
    for number in range(5):
        store.append(b'{"id":"%d"}' % number)
    assert drive(sending.until_empty(), send, Deadline(10))
    assert min(later - earlier for earlier, later in pairwise(at[1:])) >= 0.05
    store.close()


def test_the_first_attempt_may_wait_and_every_answer_is_seen(server: StrictServer, outbox: Path) -> None:
    options = Options(url=server.url, key=KEY, outbox=outbox, batch_age_s=0.01, pace=Pace(first_wait_s=0.2))
    store, sending = sending_of(options, outbox)
    seen: list[tuple[int, float]] = []
    sender = Sender(sending, options, lambda answer, took_s: seen.append((answer.status, took_s)))
    store.append(b'{"id":"a"}')
    assert sender.wait_passed(store.mark(), 10)
    sender.stop(5)
    ((status, took_s),) = seen
    assert status == 202
    assert 0 < took_s < 5


def test_an_endpoint_may_have_another_path() -> None:
    assert Options(url="http://x/", key="k", outbox=None).endpoint == "http://x/api/v1/events"
    assert Options(url="http://x/", key="k", outbox=None, path="/v1/traces").endpoint == "http://x/v1/traces"


def test_an_outbox_may_hold_other_records(outbox: Path) -> None:
    class Reversed:
        def frame(self, line: bytes) -> bytes:
            return segments.frame(line[::-1])

        def parse(self, data: bytes) -> tuple[list[bytes], int]:
            found, torn = segments.parse(data)
            return [line[::-1] for line in found], torn

    options = Options(url="http://x", key=KEY, outbox=outbox)
    store = Outbox(outbox, KEY, options.limits, Counters(), framing=Reversed())
    store.append(b"abc")
    store.mark()
    taken = store.take()
    assert taken is not None
    assert taken[1] == [b"abc"]
    assert b"cba" in next(iter(store.lane.glob("*.log"))).read_bytes()
    store.close()


def test_the_trouble_of_one_of_several_senders_is_named(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble(of="telemetry")
    with caplog.at_level("INFO", "tallywatt"):
        trouble.begins("HTTP 503")
        trouble.ends()
    assert [record.message for record in caplog.records] == [
        "telemetry: held up, trying again: HTTP 503",
        "telemetry: the server answers again",
    ]
