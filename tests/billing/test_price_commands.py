"""`set_price` with everything that a price may ask for; and that a worker knows the task of previews."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from billing import pricebook
from billing.price_preview_runs import TASK
from config.celery import app

pytestmark = pytest.mark.django_db


def price(*more: str, per_million: str = "1") -> str:
    out = StringIO()
    usual = ("--model", "m", "--kind", "input", "--per-million", per_million, "--currency", "usd")
    call_command("set_price", *usual, *more, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_a_price_may_ask_for_all_matchers_and_be_in_a_contracts_book() -> None:
    asks = ("--tier", "batch", "--operation", "chat", "--region", "eu", "--context-over", "128000")
    assert price(*asks, "--book", "acme") == "1"
    (one,) = pricebook.in_force("acme")
    assert one.row.key == ("m", "input", "batch", "chat", "eu", 128_000, "USD")
    assert pricebook.in_force("list") == []


def test_each_combination_of_matchers_is_a_price_of_its_own() -> None:
    assert [
        price(),
        price("--region", "eu"),
        price("--region", "eu", "--operation", "chat"),
        price("--region", "eu"),
    ] == [
        "1",
        "2",
        "3",
        "3",
    ]


def test_a_threshold_that_is_no_edge_and_a_book_without_a_name_are_refused() -> None:
    with pytest.raises(CommandError, match="edge of the ledger's bands"):
        price("--context-over", "100000")
    with pytest.raises(CommandError, match="no name for a price book"):
        price("--book", "not a name")


def test_a_worker_knows_the_task() -> None:
    app.loader.import_default_modules()
    assert TASK in app.tasks
