from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dashboard import formats


def test_whole_numbers_have_thousands_separators() -> None:
    assert formats.whole(18059974) == "18,059,974"
    assert formats.whole(None) == formats.NOTHING


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0042, "0.004"), (0.424, "0.42"), (9.996, "10.00"), (38.14, "38.1"), (1203.6, "1,204")],
)
def test_a_rate_keeps_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert formats.rate(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(None, formats.NOTHING), (0, "0 %"), (0.0042, "0.42 %"), (0.5, "50.0 %"), (1, "100.0 %")]
)
def test_a_ratio_is_a_percentage(ratio: float | None, text: str) -> None:
    assert formats.percent(ratio) == text


def test_a_latency_is_in_the_unit_of_its_column() -> None:
    assert formats.latency("ttft_ms", 1234.4) == "1,234"
    assert formats.latency("tpot_ms", 12.34) == "12.3"
    assert formats.latency("e2e_ms", 12_340) == "12.34"
    assert formats.latency("e2e_ms", None) == formats.NOTHING


def test_money_keeps_every_digit_it_carries() -> None:
    assert formats.money(Decimal("1204.50"), "USD") == "1,204.50 USD"
    assert formats.money(Decimal("1E+3"), "JPY") == "1,000 JPY"
    assert formats.exact(Decimal("0.000001500")) == "0.0000015"
    assert formats.exact(Decimal("1E-12")) == "0.000000000001"
    assert formats.exact(Decimal("1200")) == "1,200"


def test_a_column_of_exact_amounts_lines_up_and_loses_no_digit() -> None:
    assert formats.places(Decimal("2.5"), 4) == "2.5000"
    assert formats.places(Decimal("2.12345"), 2) == "2.12345"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (-3, "0.0 s"), (12, "12 s"), (119, "119 s"), (240, "4 min"), (7200, "2 h"), (86_400 * 3, "3 d")],
)
def test_an_age_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert formats.span(timedelta(seconds=seconds)) == text


def test_times_are_labelled_utc() -> None:
    now = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    assert formats.moment(now) == "2026-11-23 14:00:00 UTC"
    assert formats.clock(now, now) == "14:00 UTC"
    assert formats.clock(now - timedelta(days=1), now) == "2026-11-22"


def test_a_share_is_exact() -> None:
    assert formats.share(Decimal("0.19")) == "19 %"
    assert formats.share(Decimal("0.0775")) == "7.75 %"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (812, "812 B"), (1400, "1.4 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (23 * 10**9, "23.0 GB")],
)
def test_bytes_are_in_the_unit_that_fits(count: int, text: str) -> None:
    assert formats.size(count) == text


def test_a_count_has_its_noun_in_singular_or_plural() -> None:
    assert [formats.counted(count, "event") for count in (0, 1, 1204)] == ["0 events", "1 event", "1,204 events"]


def test_a_loss_has_a_minus_as_wide_as_a_digit() -> None:
    assert formats.signed(Decimal("-1204.50")) == f"{formats.MINUS}1,204.50"
    assert formats.signed(Decimal("12.30")) == "12.30"
    assert formats.signed(None) == formats.NOTHING


def test_quantities_of_a_column_have_as_many_digits_as_its_largest() -> None:
    assert formats.quantity(Decimal("9.1274")) == "9.127"
    assert formats.quantity(1204.24) == "1,204.2"
    assert formats.quantity(Decimal("0.06"), of=Decimal("1204.2")) == "0.1"
    assert formats.quantity(None) == formats.NOTHING
