"""Which price holds where and when, and exact amounts from it."""

from decimal import Decimal
from typing import Any

import pytest

from metering.telemetry.energy.amounts import Amounts, Used, priced, total
from metering.telemetry.energy.tariffs import GpuHourPrice, Intensity, KwhPrice, PriceList, Tariffs

D = Decimal


def kwh(
    region: str, price: str, *, hours: tuple[int, int] = (0, 24), since: int = 0, currency: str = "EUR"
) -> KwhPrice:
    return KwhPrice(region, *hours, D(price), currency, since)


def at(*rows: KwhPrice, region: str = "eu", since: int = 0, hour: int = 12) -> dict[str, Decimal]:
    return Tariffs(kwh=rows).per_kwh(region, since, hour)


def used(nano_kwh: int, nano_hours: int = 0, **given: Any) -> Used:
    return Used(
        **({"region": "eu", "product": "H100", "since_s": 0, "hour": 12} | given),
        nano_kwh=nano_kwh,
        nano_gpu_hours=nano_hours,
    )


def amounts(of: Used, tariffs: Tariffs) -> Amounts:
    return priced(of, PriceList(tariffs), requests=1, tokens=(2.0, 4.0), simulated=False)


def test_a_price_holds_until_the_next_of_the_same_kind() -> None:
    rows = (kwh("eu", "0.2"), kwh("eu", "0.3", since=3600))
    assert [at(*rows, since=since)["EUR"] for since in (0, 3599, 3600)] == [D("0.2"), D("0.2"), D("0.3")]


def test_before_its_first_price_a_region_has_none() -> None:
    assert at(kwh("eu", "0.2", since=3600), since=0) == {}
    assert at(kwh("us", "0.2")) == {}


def test_a_regions_own_price_comes_before_that_of_any() -> None:
    rows = (kwh("eu", "0.2"), kwh("*", "0.1", since=7200))
    assert at(*rows, since=9000) == {"EUR": D("0.2")}
    assert at(*rows, region="us", since=9000) == {"EUR": D("0.1")}


def test_a_price_for_some_hours_comes_before_one_for_all_and_the_night_crosses_midnight() -> None:
    rows = (kwh("eu", "0.1", hours=(22, 6)), kwh("eu", "0.3"), kwh("eu", "0.2", hours=(8, 20)))
    found = {hour: at(*rows, since=0, hour=hour)["EUR"] for hour in range(24)}
    assert {hour for hour, price in found.items() if price == D("0.1")} == {22, 23, 0, 1, 2, 3, 4, 5}
    assert {hour for hour, price in found.items() if price == D("0.2")} == set(range(8, 20))


def test_currencies_stand_side_by_side() -> None:
    rows = (kwh("eu", "0.2"), kwh("eu", "0.25", currency="USD"))
    assert at(*rows) == {"EUR": D("0.2"), "USD": D("0.25")}


def test_of_two_rows_that_say_the_same_the_later_added_counts() -> None:
    assert at(kwh("eu", "0.2"), kwh("eu", "0.4")) == {"EUR": D("0.4")}


def test_a_gpu_has_its_own_price_before_that_of_any_and_its_region_before_any() -> None:
    rows = (
        GpuHourPrice("*", "*", D(1), "USD", 0),
        GpuHourPrice("*", "eu", D(2), "USD", 0),
        GpuHourPrice("H100", "*", D(3), "USD", 0),
        GpuHourPrice("H100", "eu", D(4), "USD", 0),
    )
    tariffs = Tariffs(gpu=rows)
    found = {
        (gpu, place): tariffs.per_gpu_hour(gpu, place, 0)["USD"] for gpu in ("H100", "A") for place in ("eu", "us")
    }
    assert found == {("H100", "eu"): 4, ("H100", "us"): 3, ("A", "eu"): 2, ("A", "us"): 1}


def test_prices_change_at_their_moments_only() -> None:
    tariffs = Tariffs(
        (kwh("eu", "1", since=7200),), (Intensity("eu", D(1), 3600),), (GpuHourPrice("*", "*", D(1), "USD", 0),)
    )
    assert tariffs.edges_s() == (0, 3600, 7200)
    assert tariffs.bands() == (0,)
    assert Tariffs((kwh("eu", "1", hours=(0, 23)),)).bands() == (0, 23)
    assert Tariffs((kwh("eu", "1", hours=(22, 6)), kwh("us", "1", hours=(6, 24)))).bands() == (0, 6, 22)


def test_amounts_are_exact_to_the_last_digit() -> None:
    tariffs = Tariffs(
        (kwh("eu", "0.123456789"),),
        (Intensity("eu", D("230.125"), 0),),
        (GpuHourPrice("H100", "eu", D("2.1"), "USD", 0),),
    )
    found = amounts(used(1_000_000_007, 500_000_001), tariffs)
    assert found.kwh == D("1.000000007")
    assert found.joules == D("3600000.0252")
    assert found.energy_cost == {"EUR": D("1.000000007") * D("0.123456789")}
    assert found.gpu_cost == {"USD": D("1.0500000021")}
    assert found.gpu_s == D("1800.0000036")
    assert found.co2_g == D("230.125001610875")
    assert (found.unpriced_kwh, found.unpriced_gpu_hours, found.co2_unknown_kwh) == (0, 0, 0)
    assert found.joules_per_output_token == pytest.approx(900_000)


def test_what_has_no_price_is_in_no_cost_and_stands_beside() -> None:
    found = amounts(used(5_000_000_000, 7_000_000_000), Tariffs())
    assert (found.energy_cost, found.gpu_cost, found.co2_g) == ({}, {}, 0)
    assert (found.unpriced_kwh, found.unpriced_gpu_hours, found.co2_unknown_kwh) == (5, 7, 5)


def test_a_total_is_the_same_however_it_is_added_up() -> None:
    tariffs = Tariffs((kwh("eu", "0.1"), kwh("us", "0.2", currency="USD")))
    rows = [amounts(used(n * 333_333_333, region=region), tariffs) for n in range(1, 8) for region in ("eu", "us", "x")]
    whole = total(rows)
    assert whole == total([total(rows[:5]), total(rows[5:11]), total(rows[11:])])
    assert whole.energy_cost == {"EUR": D("0.9333333324"), "USD": D("1.8666666648")}
    assert whole.unpriced_kwh == D("9.333333324")
    assert whole.requests == 21


def test_without_output_there_are_no_joules_per_token() -> None:
    assert Amounts(kwh=D(1)).joules_per_output_token is None
