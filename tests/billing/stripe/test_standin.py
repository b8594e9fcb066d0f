"""The stand-in itself: it must refuse what Stripe refuses, or the other tests prove nothing."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.billing.stripe.standin import StandIn

GOOD = {
    "Authorization": f"Bearer {StandIn.KEY}",
    "Stripe-Version": "2026-10-28.endive",
    "Content-Type": "application/x-www-form-urlencoded",
    "Idempotency-Key": "k1",
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    made = StandIn()
    yield made
    made.stop()


def post(server: StandIn, path: str, form: str, **headers: str | None) -> tuple[int, Any]:
    sent = {name: value for name, value in (GOOD | headers).items() if value is not None}
    answer = httpx.post(server.url + path, content=form, headers=sent)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer sk_live_other"}, 401),
        ({"Stripe-Version": None}, 400),
        ({"Content-Type": "application/json"}, 400),
        ({"Idempotency-Key": None}, 400),
        ({"Idempotency-Key": "k" * 256}, 400),
    ],
)
def test_a_request_without_what_stripe_wants_is_refused(server: StandIn, headers: dict, status: int) -> None:
    assert post(server, "/v1/customers", "name=Acme", **headers)[0] == status


@pytest.mark.parametrize(
    ("path", "form", "param"),
    [
        ("/v1/customers", "nme=Acme", "nme"),
        ("/v1/customers", "address[street]=x", "address[street]"),
        ("/v1/customers", "name=a&name=b", "name"),
        ("/v1/customers", "name=", "name"),
        ("/v1/payment_intents", "currency=usd", "amount"),
        ("/v1/payment_intents", "amount=10.5&currency=usd", "amount"),
        ("/v1/payment_intents", "amount=1000&currency=USD", "currency"),
        ("/v1/payment_intents", "amount=1000&currency=usd&confirm=True", "confirm"),
        ("/v1/payment_intents", "amount=1000&currency=usd&customer=in_1", "customer"),
        ("/v1/customers", "metadata[" + "k" * 41 + "]=v", "metadata[" + "k" * 41 + "]"),
    ],
)
def test_a_parameter_that_stripe_does_not_take_is_refused_by_name(
    server: StandIn, path: str, form: str, param: str
) -> None:
    status, answer = post(server, path, form)
    assert (status, answer["error"]["param"]) == (400, param)


def test_an_unknown_address_is_404(server: StandIn) -> None:
    assert post(server, "/v1/invoice", "")[0] == 404


def test_the_same_key_gives_the_same_answer_and_with_other_parameters_is_refused(server: StandIn) -> None:
    first = post(server, "/v1/customers", "name=Acme&email=a%40b.example")
    assert post(server, "/v1/customers", "email=a%40b.example&name=Acme") == first
    status, answer = post(server, "/v1/customers", "name=Other")
    assert (status, answer["error"]["type"]) == (400, "idempotency_error")
    assert len(server.account.of("customer")) == 1
    server.forward(25)
    assert post(server, "/v1/customers", "name=Other")[0] == 200


def test_a_kept_500_is_given_again_and_what_was_refused_unread_is_not_kept(server: StandIn) -> None:
    server.fail("error", "/v1/customers")
    assert [post(server, "/v1/customers", "name=Acme")[0] for _ in range(2)] == [500, 500]
    assert post(server, "/v1/customers", "nme=x", **{"Idempotency-Key": "k2"})[0] == 400
    assert post(server, "/v1/customers", "name=x", **{"Idempotency-Key": "k2"})[0] == 200
