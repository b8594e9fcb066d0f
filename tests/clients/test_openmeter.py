"""The `openmeter` package, unmodified, sends here as it does to OpenMeter."""

import pytest

from tests.clients.conftest import Customer, expected
from tests.clients.front import Front


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("way", ["single", "batch", "json"])
def test_every_event_arrives_once_however_often_it_is_sent(customer: Customer, way: str, asynchronous: bool) -> None:
    said = customer.run("openmeter_client", way=way, asynchronous=asynchronous, count=20, times=2)
    assert said["error"] is None
    customer.has(expected(20))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_answer_that_was_lost_makes_it_send_again_and_nothing_is_doubled(
    customer: Customer, front: Front, asynchronous: bool
) -> None:
    front.lose = 503
    said = customer.run("openmeter_client", url=front.url, way="batch", asynchronous=asynchronous, count=5)
    assert said["error"] is None
    assert front.statuses == [204, 204]
    assert front.passed[0].body == front.passed[1].body
    customer.has(expected(5))


def test_it_understands_why_an_event_was_not_taken(customer: Customer) -> None:
    bad = {"model": "m", "input_tokens": -1, "output_tokens": 1}
    said = customer.run("openmeter_client", way="single", count=1, data=bad)
    assert said["error"] == 400
    assert "input_tokens is -1" in said["detail"]


def test_another_tenants_subject_is_its_403(customer: Customer) -> None:
    assert customer.run("openmeter_client", way="single", count=1, subject="somebody-else")["error"] == 403
