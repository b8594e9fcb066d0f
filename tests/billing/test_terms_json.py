"""Terms as JSON: what goes out comes in again, and what is not terms is refused with its place."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from billing.rating.terms import FlatFee, Terms
from billing.terms_json import TermsMalformed, terms_from, terms_shown
from tests.billing.test_agreements import EVERYTHING


def test_what_goes_out_comes_in_again() -> None:
    for terms in (EVERYTHING, Terms()):
        assert terms_from(json.loads(json.dumps(terms_shown(terms)))) == terms


def test_what_is_not_given_stays_as_it_was() -> None:
    assert terms_from({"plan": "M"}, EVERYTHING) == replace(EVERYTHING, plan="M")
    assert terms_from({"flat_fees": []}, EVERYTHING).flat_fees == ()


def test_any_model_and_any_tier_need_not_be_written() -> None:
    found = terms_from({"allowances": [{"code": "a", "kind": "input", "quantity": 10}]})
    assert (found.allowances[0].model, found.allowances[0].tier) == ("*", "")


def test_numbers_are_exact() -> None:
    fee = {"code": "a", "description": "A", "amount": "0.1"}
    assert terms_from({"flat_fees": [fee]}).flat_fees == (FlatFee("a", "A", Decimal("0.1")),)
    assert terms_from({"commitment": 1000}).commitment == Decimal(1000)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "terms are an object"),
        ({"price": 1}, "'price' is not one of plan"),
        ({"plan": 7}, "plan: 7 is not a text"),
        ({"plan": "a\x00"}, "is not a text"),
        ({"commitment": 0.1}, "commitment: 0.1 is not a decimal number in quotes"),
        ({"commitment": True}, "True is not a decimal number"),
        ({"commitment": "many"}, "'many' is not a decimal number"),
        ({"commitment": "Infinity"}, "'Infinity' is not a decimal number"),
        ({"commitment": None}, "None is not a decimal number"),
        ({"flat_fees": {}}, "flat_fees is a list"),
        ({"flat_fees": [7]}, r"flat_fees\[0\] is an object"),
        ({"flat_fees": [{"code": "a", "description": "A"}]}, r"flat_fees\[0\].amount is missing"),
        ({"flat_fees": [{"code": "a", "fee": "A"}]}, r"flat_fees\[0\].fee is not one of code"),
        ({"flat_fees": [{"code": "a", "description": "A", "amount": None}]}, "None is not a decimal number"),
        ({"discounts": [{"code": "a", "description": "A", "applies_to": "some"}]}, "'some' is not one of usage"),
        ({"objectives": [{"measure": []}]}, "is not one of ttft_p95_ms"),
        ({"objectives": [{"least_requests": "9"}]}, "'9' is not a whole number"),
    ],
)
def test_what_is_not_terms_is_refused_with_its_place(given: object, reason: str) -> None:
    with pytest.raises(TermsMalformed, match=reason):
        terms_from(given)
