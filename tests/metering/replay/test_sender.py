import time

import pytest

from metering.replay.sender import Receipt, Sender, SendFailed, ndjson
from tests.metering.replay.answers import HANG_UP, answering

EVENTS = [{"id": "1"}, {"id": "2"}]
BODY = ndjson(EVENTS)


def test_a_batch_is_sent_again_until_it_is_acknowledged() -> None:
    told: list[str] = []
    script = [(503, {}, {"title": "Service Unavailable"}), (HANG_UP, {}, None), (500, {}, {})]
    with answering(*script) as server, Sender(server.url, "k", retry_for_s=20, tell=told.append) as sender:
        receipt = sender.send(BODY)

    assert receipt == Receipt(2, [])
    assert server.bodies == [EVENTS] * 4
    assert len(told) == 2  # once when it is held up, once when it goes on
    assert "503" in told[0]


def test_it_waits_as_long_as_the_server_asks() -> None:
    with (
        answering((429, {"Retry-After": "2"}, {})) as server,
        Sender(server.url, "k", retry_for_s=20, tell=print) as sender,
    ):
        begun = time.monotonic()
        sender.send(BODY)

    assert time.monotonic() - begun >= 2


def test_it_gives_up_when_an_outage_lasts_longer_than_asked() -> None:
    with (
        Sender("http://127.0.0.1:9", "k", retry_for_s=0.5, tell=lambda _: None) as sender,
        pytest.raises(SendFailed, match=r"0\.5 s"),
    ):
        sender.send(BODY)


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422])
def test_a_refusal_that_would_stay_one_is_not_repeated(status: int) -> None:
    answer = (status, {}, {"title": "Refused", "detail": "for a reason"})
    with answering(answer) as server, Sender(server.url, "k", retry_for_s=20, tell=print) as sender:
        with pytest.raises(SendFailed, match="Refused: for a reason"):
            sender.send(BODY)
        assert len(server.bodies) == 1


def test_an_answer_that_is_no_receipt_is_not_taken_for_one() -> None:
    with (
        answering((202, {}, ["hello"])) as server,
        Sender(server.url, "k", retry_for_s=20, tell=print) as sender,
        pytest.raises(SendFailed, match="not a receipt"),
    ):
        sender.send(BODY)


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with Sender("localhost:8000", "k", retry_for_s=20, tell=print) as sender, pytest.raises(SendFailed):
        sender.send(BODY)
