"""`lago-python-client`, unmodified, with this server's address and a key of ours."""

import pytest

from tests.clients.conftest import Customer, expected
from tests.clients.front import Front


@pytest.mark.parametrize("words", ["litellm", "canonical"])
@pytest.mark.parametrize("way", ["single", "batch"])
def test_every_event_arrives_once_however_often_it_is_sent(customer: Customer, way: str, words: str) -> None:
    said = customer.run("lago_client", way=way, words=words, count=10, times=2)
    assert said["error"] is None
    customer.has(expected(10))
    assert customer.quarantined() == []


def test_it_reads_our_answer_as_lagos(customer: Customer) -> None:
    said = customer.run("lago_client", way="single", count=2, times=2)
    assert said["ids"][:2] == said["ids"][2:]
    assert len(set(said["ids"])) == 2
    assert said["timestamps"][:2] == ["2026-01-05T12:00:00.000Z", "2026-01-05T12:00:01.123Z"]


def test_it_comes_back_after_a_429_and_nothing_is_doubled(customer: Customer, front: Front) -> None:
    front.lose = 429
    said = customer.run("lago_client", url=front.url, way="batch", count=5)
    assert said["error"] is None
    assert front.statuses == [200, 200]
    customer.has(expected(5))


def test_it_understands_which_event_was_not_taken_and_why(customer: Customer) -> None:
    said = customer.run("lago_client", way="batch", count=2, fault={"completion_tokens": -1})
    assert said["error"] == 422
    assert said["response"]["code"] == "validation_errors"
    assert said["response"]["error_details"]["1"] == {
        "properties.output_tokens": ["output_tokens is -1, a count cannot be negative"]
    }


def test_another_tenants_subscription_is_its_403(customer: Customer) -> None:
    said = customer.run("lago_client", way="single", count=1, subscription="somebody-else")
    assert (said["error"], said["response"]["error"]) == (403, "Forbidden")


def test_a_wrong_key_is_its_401(customer: Customer) -> None:
    customer.key = "tw_000000000000_" + "x" * 43
    said = customer.run("lago_client", way="single", count=1)
    assert (said["error"], said["response"]["error"]) == (401, "Unauthorized")
