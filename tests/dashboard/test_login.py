"""Logging in and out, and the throttle, which counts in the real Redis."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard import throttle
from metering.models import Membership

PASSWORD = "a-password-that-nobody-has"


@pytest.fixture
def user(db: None) -> User:
    found = User.objects.create_user(f"u-{uuid.uuid4().hex[:12]}", password=PASSWORD)
    Membership.objects.create(user=found, role="finance")
    return found


@pytest.fixture
def client() -> Client:
    """From an address of its own: failures are counted by address too, and outlive a test."""
    return Client(REMOTE_ADDR=f"test-{uuid.uuid4().hex}")


def try_to_log_in(client: Client, user: User, password: str) -> int:
    return client.post(reverse("login"), {"username": user.username, "password": password}).status_code


def test_the_right_password_leads_home(client: Client, user: User) -> None:
    response = client.post(reverse("login"), {"username": user.username, "password": PASSWORD})
    assert response.status_code == 302
    assert response["Location"] == "/"


def test_a_wrong_password_says_so_without_saying_which_part_was_wrong(client: Client, user: User) -> None:
    response = client.post(reverse("login"), {"username": user.username, "password": "x"})
    assert response.status_code == 200
    assert b'role="alert"' in response.content
    unknown = client.post(reverse("login"), {"username": "nobody-of-this-name", "password": "x"})
    assert _alert(response.content) == _alert(unknown.content)


def test_after_ten_failures_even_the_right_password_waits(client: Client, user: User) -> None:
    for _ in range(throttle.FAILURES_PER_NAME):
        assert try_to_log_in(client, user, "wrong") == 200
    response = client.post(reverse("login"), {"username": user.username.upper(), "password": PASSWORD})
    assert response.status_code == 429
    assert response["Retry-After"] == "600"
    assert b"Try again in ten minutes" in response.content


def test_others_log_in_while_one_name_is_throttled(client: Client, user: User) -> None:
    for _ in range(throttle.FAILURES_PER_NAME):
        throttle.failed("somebody-else", "elsewhere")
    assert try_to_log_in(client, user, PASSWORD) == 302


def test_an_address_that_tries_many_names_is_throttled(client: Client, user: User) -> None:
    address = client.defaults["REMOTE_ADDR"]
    for _ in range(throttle.FAILURES_PER_ADDRESS):
        throttle.failed(uuid.uuid4().hex, address)
    assert try_to_log_in(client, user, PASSWORD) == 429


def test_a_good_log_in_forgets_the_failures_of_that_name(client: Client, user: User) -> None:
    for _ in range(throttle.FAILURES_PER_NAME - 1):
        try_to_log_in(client, user, "wrong")
    assert try_to_log_in(client, user, PASSWORD) == 302
    client.post(reverse("logout"))
    assert try_to_log_in(client, user, "wrong") == 200
    assert try_to_log_in(client, user, PASSWORD) == 302


def test_without_redis_nobody_is_locked_out(client: Client, user: User, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert try_to_log_in(client, user, "wrong") == 200
    assert try_to_log_in(client, user, PASSWORD) == 302


def test_logging_out_takes_a_post_and_ends_the_session(client: Client, user: User) -> None:
    client.force_login(user)
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout")).status_code == 302
    assert client.get(reverse("invoices")).status_code == 302


def test_the_way_back_never_leads_to_another_host(client: Client, user: User) -> None:
    form = {"username": user.username, "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post(reverse("login"), form)["Location"] == "/"


def _alert(content: bytes) -> bytes:
    return content.split(b'id="login-error">')[1].split(b"</div>")[0]
