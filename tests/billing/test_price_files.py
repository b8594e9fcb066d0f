"""Price books as files: what is written is what is read, and what is wrong is named by row and column."""

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from billing import pricebook, rating
from billing.pricebook import PriceRefused, PriceRow

HEADER = "model,kind,currency,tier,amount\n"


def test_csv_is_read_with_every_digit() -> None:
    (one,) = pricebook.read_file(HEADER + "m,input,USD,batch,0.100000000001\n")
    assert (one.model, one.tier, one.amount, one.per) == ("m", "batch", Decimal("0.100000000001"), None)


def test_json_numbers_are_decimals_and_never_binary_fractions() -> None:
    text = '[{"model": "m", "kind": "input", "currency": "USD", "amount": 0.1, "effective_from": "2026-10-01"}]'
    (one,) = pricebook.read_file(text)
    assert one.amount == Decimal("0.1")
    assert one.effective_from is not None
    assert one.effective_from.isoformat() == "2026-10-01T00:00:00+00:00"
    assert pricebook.read_file(f'{{"prices": {text}}}') == [one]


def test_tiers_are_json_in_csv_and_lists_in_json() -> None:
    text = "model,kind,currency,charge_model,tiers\n" + (
        'm,input,USD,volume,"[{""up_to"": 10, ""amount"": 0.5}, {""up_to"": null, ""amount"": 0.25}]"\n'
    )
    (one,) = pricebook.read_file(text)
    assert one.tiers is not None
    assert [tier["amount"] for tier in one.tiers] == [Decimal("0.5"), Decimal("0.25")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no price"),
        (HEADER, "no price"),
        (HEADER + "m,input,USD,,1\nm,,USD,,1\n", "row 2: no kind"),
        ("model,kind,currency,price\nm,input,USD,1\n", "unknown column 'price'"),
        (HEADER + "m,input,USD,1\n", "row 1 has not as many cells"),
        (HEADER + "m,input,USD,,1,2\n", "row 1 has not as many cells"),
        (HEADER + "m,input,USD,,one\n", "row 1: amount: 'one' is not a decimal"),
        ('[{"model": "m"', "no JSON"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "amount": NaN}]', "not a number"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "amount": true}]', "not a decimal"),
        ('[{"model": 7, "kind": "input", "currency": "USD", "amount": 1}]', "not text"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "tiers": "x"}]', "row 1"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "tiers": {}}]', "list of objects"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "per": 1.5}]', "per: .* whole number"),
        ('[{"model": "m", "kind": "input", "currency": "USD", "effective_from": "soon"}]', "neither a date"),
        ('{"model": "m"}', "list of objects"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    with pytest.raises(PriceRefused, match=reason):
        pricebook.read_file(text)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=20)
AMOUNTS = st.decimals(0, 1000, places=6)
ROWS = st.builds(
    PriceRow,
    model=NAMES,
    kind=st.sampled_from(["input", "output", "request"]),
    currency=st.sampled_from(["USD", "EUR"]),
    tier=st.just("") | NAMES,
    region=st.just("") | NAMES,
    context_over=st.sampled_from([0, 128_000]),
    amount=AMOUNTS,
    per=st.none() | st.integers(1, 10**9),
    effective_from=st.sampled_from([None, rating.BEGINNING]),
)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_what_is_written_is_what_is_read(rows: list[PriceRow]) -> None:
    assert pricebook.read_file(pricebook.as_csv(rows)) == rows


def call(*words: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("publish_prices", *map(str, words), stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "prices.csv"
    found.write_text(HEADER + "m,input,USD,,0.60\nm,output,USD,,1.20\n*,input,USD,batch,0.10\n")
    return found


@pytest.mark.django_db
def test_a_whole_book_is_published_from_a_file_and_once_more_changes_nothing(file: Path) -> None:
    assert call("--book", "list", "--file", file)[0] == "1"
    assert pricebook.current_version() == 1
    with pytest.raises(CommandError, match="nothing differs"):
        call("--book", "list", "--file", file)
    exported = call("--book", "list", "--export")[0]
    file.write_text(exported)
    with pytest.raises(CommandError, match="nothing differs"):
        call("--book", "list", "--file", file)


@pytest.mark.django_db
def test_a_draft_is_kept_and_published_by_its_number(file: Path) -> None:
    number, said = call("--book", "acme", "--file", file, "--draft", "--note", "for acme")
    assert (number, pricebook.current_version("acme")) == ("1", 0)
    assert "price_preview --book acme --version 1" in said
    assert call("--book", "acme", "--version", 1)[0] == "1"
    assert pricebook.current_version("acme") == 1


@pytest.mark.django_db
def test_a_complete_file_withdraws_what_it_leaves_out(file: Path) -> None:
    call("--book", "list", "--file", file)
    file.write_text(HEADER + "m,input,USD,,0.60\n")
    call("--book", "list", "--file", file, "--complete")
    changed = pricebook.differences("list", 1, 2)
    assert [one.after.withdrawn for one in changed if one.after] == [True, True]


@pytest.mark.django_db
def test_the_command_says_what_is_wrong(file: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call("--book", "list", "--file", tmp_path / "none.csv")
    with pytest.raises(CommandError, match="has no version 9"):
        call("--book", "list", "--version", 9)
    file.write_text(HEADER + "m,seats,USD,,1\n")
    with pytest.raises(CommandError, match=r"row 1 .*unknown kind"):
        call("--book", "list", "--file", file)
