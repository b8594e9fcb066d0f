"""Setting prices and CO2 intensities, by function and by command."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.models import CarbonIntensity, EnergyPrice, GpuPrice
from metering.moments import EPOCH
from metering.telemetry.energy import prices
from metering.telemetry.energy.prices import TariffRefused, set_energy_price, set_gpu_price

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
NEXT_HOUR = NOW.replace(hour=11, minute=0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def price(per_kwh: Any = "0.2", **given: Any) -> prices.TariffSet:
    return set_energy_price(**({"region": "eu", "per_kwh": per_kwh, "currency": "EUR"} | given))


def test_the_first_price_holds_from_the_beginning_and_the_next_from_the_next_hour() -> None:
    assert price("0.2") == prices.TariffSet(EPOCH, added=True)
    assert price("0.3") == prices.TariffSet(NEXT_HOUR, added=True)
    found = prices.tariffs()
    assert [(row.per_kwh, row.from_s) for row in found.kwh] == [
        (Decimal("0.2"), 0),
        (Decimal("0.3"), int(NEXT_HOUR.timestamp())),
    ]


def test_the_same_again_adds_nothing() -> None:
    price("0.20")
    assert price("0.2") == prices.TariffSet(EPOCH, added=False)
    assert EnergyPrice.objects.count() == 1


def test_other_hours_another_region_and_another_currency_are_first_prices() -> None:
    for given in ({}, {"from_hour": 22, "to_hour": 6}, {"region": "us"}, {"currency": "USD"}):
        assert price(**given).effective_from == EPOCH


def test_a_moment_may_be_given_and_lies_on_a_whole_hour() -> None:
    assert price(effective_from=NEXT_HOUR).effective_from == NEXT_HOUR
    with pytest.raises(TariffRefused, match="whole hour"):
        price(effective_from=NOW)
    with pytest.raises(TariffRefused, match="whole hour"):
        price(effective_from=datetime(2026, 11, 20, 10))  # noqa: DTZ001 - a moment without an offset


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"per_kwh": "-0.1"}, "per_kwh"),
        ({"per_kwh": "cheap"}, "not a decimal"),
        ({"per_kwh": "NaN"}, "finite"),
        ({"per_kwh": "Infinity"}, "finite"),
        ({"per_kwh": "0.1234567891"}, "per_kwh"),
        ({"per_kwh": "1" * 12}, "per_kwh"),
        ({"currency": "EURO"}, "currency"),
        ({"region": ""}, "region"),
        ({"region": "r" * 65}, "region"),
        ({"from_hour": 24, "to_hour": 3}, "from_hour"),
        ({"from_hour": 3, "to_hour": 25}, "to_hour"),
        ({"from_hour": 7, "to_hour": 7}, "the same"),
    ],
)
def test_what_is_no_price_is_refused_with_its_reason(given: dict[str, Any], word: str) -> None:
    with pytest.raises(TariffRefused, match=word):
        price(**given)
    assert not EnergyPrice.objects.exists()


def test_a_gpu_price_is_of_a_product_and_a_region() -> None:
    set_gpu_price(product="H100", region="*", per_gpu_hour="2.1", currency="USD")
    set_gpu_price(product="*", region="eu", per_gpu_hour="1.1", currency="USD")
    assert prices.tariffs().per_gpu_hour("H100", "eu", 0) == {"USD": Decimal("2.1")}
    assert prices.tariffs().per_gpu_hour("A100", "eu", 0) == {"USD": Decimal("1.1")}


def test_the_commands_add_rows_and_say_from_when_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("set_energy_price", "--region", "eu", "--per-kwh", "0.21", "--currency", "eur", "--hours", "22-6")
    call_command("set_carbon_intensity", "--region", "eu", "--g-per-kwh", "230")
    call_command("set_gpu_price", "--product", "H100", "--per-gpu-hour", "2.10", "--currency", "USD")
    call_command("set_gpu_price", "--product", "H100", "--per-gpu-hour", "2.20", "--currency", "USD")
    out = capsys.readouterr().out.splitlines()
    assert out == ["effective from the beginning of time"] * 3 + ["effective from 2026-11-20 11:00Z"]
    row = EnergyPrice.objects.get()
    assert (row.from_hour, row.to_hour, row.currency) == (22, 6, "EUR")
    assert CarbonIntensity.objects.get().g_per_kwh == 230
    assert [row.region for row in GpuPrice.objects.all()] == ["*", "*"]


def test_the_commands_refuse_what_is_no_price() -> None:
    with pytest.raises(CommandError, match="per_kwh"):
        call_command("set_energy_price", "--region", "eu", "--per-kwh", "-1", "--currency", "EUR")
    with pytest.raises(CommandError, match="hours of the day"):
        call_command("set_energy_price", "--region", "eu", "--per-kwh", "1", "--currency", "EUR", "--hours", "7-25")
    with pytest.raises(CommandError, match="no offset"):
        call_command(
            "set_carbon_intensity", "--region", "eu", "--g-per-kwh", "1", "--effective-from", "2026-10-01T06:00"
        )
