"""The `cloudevents` package of both major versions, unmodified: structured, binary and batch mode."""

import pytest

from tests.clients.conftest import Customer, expected


@pytest.mark.parametrize("way", ["structured", "binary", "batch"])
def test_version_1_arrives_once_however_often_it_is_sent(customer: Customer, way: str) -> None:
    said = customer.run("cloudevents_client", way=way, count=10, times=2)
    assert set(said["statuses"]) == {204}
    customer.has(expected(10))


@pytest.mark.parametrize("way", ["structured", "binary"])
def test_version_2_arrives_once_however_often_it_is_sent(customer: Customer, way: str) -> None:
    said = customer.run("cloudevents2_client", packages="cloudevents2", way=way, count=10, times=2)
    assert set(said["statuses"]) == {204}
    customer.has(expected(10))


def test_the_modes_and_versions_mean_the_same_event(customer: Customer) -> None:
    """One identity and one content, whichever way it comes: nothing is counted twice and nothing is a conflict."""
    for way in ("structured", "binary"):
        customer.run("cloudevents2_client", packages="cloudevents2", way=way, count=5)
    customer.has(expected(5))
    assert customer.quarantined() == []
