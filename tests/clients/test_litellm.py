"""LiteLLM's `openmeter`, `lago` and `otel` callbacks, unmodified, with `mock_response` in place of a provider."""

from typing import Any

import pytest

from tests.clients.conftest import Customer, Totals
from tests.clients.front import Front

COUNT = 4  # and a streamed answer beside them


def arrived_once(customer: Customer, front: Front, **words: Any) -> Totals:
    """What LiteLLM said was used and nothing besides, though all that it sent comes a second time. Returns what it said."""
    said = customer.run("litellm_client", url=front.url, count=COUNT, **words)
    totals = said["requests"], said["input"], said["output"], said["cached"]
    assert min(totals[:3]) > COUNT
    assert set(front.repeat()) == set(front.statuses) <= {200, 204}
    customer.has(totals)
    assert customer.quarantined() == []
    return totals


# Its `openmeter` callback is for asynchronous calls alone, as the proxy makes them.
@pytest.mark.parametrize(
    ("callback", "asynchronous"),
    [("openmeter", True), ("lago", True), ("lago", False), ("otel", True), ("otel", False)],
)
def test_every_answer_arrives_once(customer: Customer, front: Front, callback: str, asynchronous: bool) -> None:
    arrived_once(customer, front, callback=callback, asynchronous=asynchronous)


def test_the_second_generation_of_its_spans_arrives_once(customer: Customer, front: Front) -> None:
    newest = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
    arrived_once(customer, front, callback="otel", asynchronous=True, environment=newest)


def test_the_third_generation_of_its_spans_arrives_once_and_tells_cached_tokens(
    customer: Customer, front: Front
) -> None:
    third = {"LITELLM_OTEL_V2": "true"}
    *_, cached = arrived_once(customer, front, callback="otel", asynchronous=True, cached=True, environment=third)
    assert cached == 64
