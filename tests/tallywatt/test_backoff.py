"""How long the client waits."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallywatt.backoff import Backoff, retry_after_s


@given(st.integers(0, 100))
def test_waits_grow_to_a_limit_and_are_spread_from_zero(attempt: int) -> None:
    wait_s = Backoff(first_s=1, longest_s=30, attempt=attempt).wait_s()
    assert 0 <= wait_s <= min(30, 2**attempt)


def test_waits_of_two_senders_differ() -> None:
    assert len({Backoff(attempt=5).wait_s() for _ in range(20)}) > 1


def test_what_a_server_asks_for_is_the_least_within_reason() -> None:
    assert 7 <= Backoff(first_s=1).wait_s(retry_after_s=7) <= 8
    assert Backoff(first_s=1).wait_s(retry_after_s=10**9) <= 601


def test_what_a_person_must_mend_is_tried_seldom() -> None:
    assert Backoff(slow_s=60).wait_s(slow=True) >= 60


def test_a_success_starts_anew() -> None:
    backoff = Backoff(first_s=1, longest_s=30, attempt=9)
    backoff.succeeded()
    assert backoff.wait_s() <= 1


@pytest.mark.parametrize(("header", "seconds"), [(None, 0), ("", 0), ("5", 5), ("soon", 0), ("-5", 0), ("1.5", 0)])
def test_a_retry_after_in_seconds(header: str | None, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_a_retry_after_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 97 < retry_after_s(soon) <= 100
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
