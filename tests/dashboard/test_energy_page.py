"""The page of energy: every kWh is somebody's, idle, or unattributed by its cause, and the rows come to the total."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template.loader import render_to_string
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator import energy_shown as shown
from dashboard.operator.energy import PAGE
from dashboard.operator.filters import Filters
from dashboard.operator.pages import frame
from dashboard.operator.shelf import SHELF
from metering.clickhouse import client
from metering.public import (
    CoefficientsInfo,
    EnergyAmounts,
    EnergyHealth,
    EnergyReport,
    EnergyRow,
    energy_set_carbon_intensity,
    energy_set_price,
)
from tests.billing.energy import attributed, nobodys, settle
from tests.dashboard.conftest import LogIn
from tests.metering.rows import empty_tables

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
END = HOUR + timedelta(hours=1)
TABLES = ("energy_windows", "energy_attributed", "energy_hours", "energy_attributed_hours", "gpu_minute", "gpu_steps")


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty_tables(*TABLES)
    SHELF.clear()


@pytest.fixture
def some_energy(db: None) -> None:
    """10 kWh: 6 and 2 of two customers, 1.5 idle, 0.5 of aborted streams."""
    attributed(HOUR, "acme", kwh="6", gpu_hours="4", model="m1", decode_tokens=4_320_000.0, requests=12)
    attributed(HOUR, "globex", kwh="2", gpu_hours="1", model="m2", tier="batch", region="us")
    nobodys(HOUR, idle_nkwh="1.5", aborted_nkwh="0.5", idle_gpu_nh="2")
    settle(END)


def opened(log_in: LogIn, **query: str) -> str:
    SHELF.clear()
    response = log_in("operator").get(reverse("operator-energy"), {"range": "24h"} | query)
    assert response.status_code == 200
    return str(response.content.decode())


def streamed(**query: str) -> dict[str, str]:
    """The parts of the page, as its stream sends them."""
    SHELF.clear()
    filters = Filters.read({"range": "24h"} | query, PAGE.options)
    found = PAGE.read(filters, ())
    context = frame(PAGE, filters, ()) | dict(found.context)
    return {place: text(render_to_string(template, context)) for place, template in PAGE.parts.items()}


def draws(cluster: str, power_w: float, limit_w: float | None, *, gpus: int = 1, region: str = "eu") -> None:
    """What GPUs of a cluster drew in each of the last three minutes."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = [
        {
            "minute": minute - n * timedelta(minutes=1),
            "node": f"{cluster}-n",
            "gpu": f"g{gpu}",
            "mig": "",
            "region": region,
        }
        | {
            "cluster": cluster,
            "samples": 4,
            "power_w_mean": power_w,
            "power_limit_w": limit_w,
            "throttle_samples": 0,
            "version": 1,
        }
        for n in (1, 2, 3)
        for gpu in range(gpus)
    ]
    client.insert("test_gpus", "gpu_minute", list(rows[0]), [[row[name] for row in rows] for name in rows[0]])


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def table(page: str, key: str) -> str:
    found = re.search(rf'aria-labelledby="t-{key}">(.*?)</table>', page, re.DOTALL)
    assert found is not None
    return text(found.group(1))


def tile(page: str, key: str) -> str:
    found = re.search(rf'data-tile="{key}">(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return text(found.group(1))


def report(*rows: EnergyRow, total: EnergyAmounts) -> EnergyReport:
    return EnergyReport(HOUR, END, END, rows, total)


def health(**fields: object) -> EnergyHealth:
    usual = {"until": END, "latest_window": END, "windows": 60, "worst_error": 3e-9, "windows_not_conserved": 0}
    rest = {"counter_j": 1.0, "shares": {}, "coefficients": (), "simulated": False}
    return EnergyHealth(**(usual | rest | fields))  # type: ignore[arg-type]


@pytest.mark.usefixtures("some_energy")
def test_rows_by_customer_model_and_tier_come_to_the_counters_with_idle_and_causes(log_in: LogIn) -> None:
    page = opened(log_in)
    customers = table(page, "tenant")
    assert re.search(
        r"acme 12 0 4,320,000 6\.000 60\.0 % 5\.00 5\.00", customers
    )  # 21.6 MJ over 4.32 million, none computed
    assert re.search(r"globex 1 0 0 2\.000 20\.0 %", customers)
    for key in ("tenant", "model", "tier"):
        assert re.search(r"Idle . . . 1\.500 15\.0 %", table(page, key))
        assert re.search(r"Unattributed: aborted streams . . . 0\.500 5\.00 %", table(page, key))
        assert re.search(r"Total 13 0 4,320,000 10\.000 100\.0 % 8\.33 8\.33", table(page, key))
    assert "m1" in table(page, "model")
    assert "batch" in table(page, "tier")


@pytest.mark.usefixtures("some_energy")
def test_the_tiles_have_the_main_figures(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "10.000 kWh" in tile(page, "kwh")
    assert re.search(r"8\.33 J .* 6\.67 without", tile(page, "per-token"))
    assert re.search(r"15\.0 %\s+1\.500 kWh", tile(page, "idle"))
    assert re.search(r"5\.00 %\s+0\.500 kWh", tile(page, "unattributed"))
    assert "UTC" in tile(page, "settled")


@pytest.mark.usefixtures("some_energy")
def test_costs_and_co2_follow_the_region_and_what_has_no_price_is_told(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "100.0 % of the energy has no price, and is in no cost." in page
    assert "manage.py set_energy_price" in page
    assert "manage.py set_carbon_intensity" in page
    energy_set_price(region="eu", per_kwh=Decimal("0.25"), currency="EUR")
    energy_set_carbon_intensity(region="*", g_per_kwh=Decimal(200))
    page = opened(log_in)
    assert "20.0 % of the energy has no price, and is in no cost." in page
    assert "set_carbon_intensity" not in page
    assert re.search(r"2\.0000 EUR\s+20\.0 % of the energy has no price", tile(page, "cost-EUR"))
    assert re.search(r"2\.000 kg", tile(page, "co2"))
    assert re.search(r"acme .* 1\.5000 1\.200 ", table(page, "tenant"))
    assert re.search(r"globex 1 0 0 2\.000 20\.0 % . . . 0\.400 ", table(page, "tenant"))


@pytest.mark.usefixtures("some_energy")
def test_costs_in_two_currencies_stand_beside_each_other(log_in: LogIn) -> None:
    energy_set_price(region="eu", per_kwh=Decimal("0.25"), currency="EUR")
    energy_set_price(region="us", per_kwh=Decimal("0.1"), currency="USD")
    page = opened(log_in)
    assert "2.0000 EUR" in tile(page, "cost-EUR")
    assert "0.2000 USD" in tile(page, "cost-USD")
    assert "2.0000 EUR 0.2000 USD" in table(page, "tenant")


@pytest.mark.usefixtures("some_energy")
@pytest.mark.parametrize(("by", "names"), [("model", {"m1", "m2"}), ("tenant", {"acme", "globex"})])
def test_the_chart_is_by_model_or_by_customer(by: str, names: set[str], log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-energy"), {"by": by, "range": "24h"})
    bars = response.context["figures"]["chart-energy"]["data"]
    assert {bar["name"] for bar in bars} == names | {"idle", "aborted"}
    assert sum(bar["y"][-1] for bar in bars) == 10
    assert len(bars[0]["x"]) == 24
    assert len({bar["uid"] for bar in bars}) == len(bars)


@pytest.mark.usefixtures("some_energy")
@pytest.mark.parametrize(("key", "bars"), [("24h", 24), ("7d", 7 * 24), ("30d", 30), ("90d", 90)])
def test_ranges_past_a_week_are_drawn_by_the_day(key: str, bars: int, log_in: LogIn) -> None:
    """From a week on whole days, and what is settled of the one that goes on."""
    begun = {"24h": 0, "7d": END.hour}.get(key, int(END.hour > 0))
    response = log_in("operator").get(reverse("operator-energy"), {"range": key})
    bar = response.context["figures"]["chart-energy"]["data"][0]
    assert len(bar["x"]) == bars + begun
    assert sum(bar["y"]) == 6


def test_what_is_simulated_is_labelled(log_in: LogIn) -> None:
    attributed(HOUR, "acme", kwh="6", gpu_hours="4", simulated=True)
    attributed(HOUR, "globex", kwh="6", gpu_hours="4", node="n2")
    settle(END)
    page = opened(log_in)
    assert re.search(r"acme Simulated", table(page, "tenant"))
    assert "globex Simulated" not in table(page, "tenant")
    assert "have energy in them that the simulator made up" in page


@pytest.mark.usefixtures("some_energy")
def test_the_parts_come_to_the_counters_and_the_difference_is_told(log_in: LogIn) -> None:
    nobodys(HOUR, node="n2", counter_nkwh="10", attributed_nkwh="8", idle_nkwh="1.5", aborted_nkwh="0.5")
    tables = streamed()["energy-tables"]
    assert re.search(r"Counters 10\.0+ 100 % .* Customers 8\.0+ 80\.0 % .* Idle 3\.0+ 30\.0 %", tables)
    assert "Difference \N{MINUS SIGN}2.000000000 2e-01 of it" in tables  # the rows of some_energy have no counter
    assert "Nothing is lost" not in streamed(tenant="acme")["energy-tables"]


@pytest.mark.usefixtures("some_energy")
def test_filters_narrow_everything_that_is_energy(log_in: LogIn) -> None:
    page = opened(log_in, region="us")
    assert "globex" in table(page, "tenant")
    assert "acme" not in table(page, "tenant")
    assert re.search(r"Total 1 0 0 2\.000 100\.0 %", table(page, "model"))
    assert re.search(r"Total 12 0 4,320,000 6\.000", table(opened(log_in, tenant="acme"), "tenant"))


@pytest.mark.usefixtures("some_energy")
def test_it_compares_with_the_period_before(log_in: LogIn) -> None:
    attributed(HOUR - timedelta(hours=30), "acme", kwh="8", gpu_hours="1")
    assert "+25.0 % on the period before" in tile(opened(log_in, compare="previous"), "kwh")
    assert "period before" not in tile(opened(log_in), "kwh")


def test_power_now_stands_against_the_cap_and_a_limit_that_nobody_tells_is_told(log_in: LogIn) -> None:
    draws("c1", 500, 700, gpus=4)
    page = opened(log_in)
    assert re.search(r"2\.00 kW 71\.4 % of the cap of 2\.80 kW; 4 GPUs", tile(page, "power"))
    assert "No energy was measured in this range" in page
    draws("c2", 500, None)
    assert "not all tell their limit" in tile(opened(log_in), "power")
    assert "4 GPUs" in tile(opened(log_in, cluster="c1"), "power")
    assert "1 GPU;" in tile(opened(log_in, cluster="c2"), "power")


@pytest.mark.usefixtures("some_energy")
def test_below_its_cap_nothing_has_to_go(log_in: LogIn) -> None:
    draws("c1", 500, 700, gpus=4)
    shown_ = text(opened(log_in))
    assert "Nothing has to go. c1 draws 2.00 kW, 0.80 kW below 2.80 kW." in shown_


@pytest.mark.usefixtures("some_energy")
def test_above_a_cap_it_lists_what_to_move_or_pause_and_what_it_assumes(log_in: LogIn) -> None:
    nobodys(HOUR, cluster="c1", gpu_nh="7")
    settle(END)
    draws("c1", 2500, 3000, gpus=4)
    draws("c2", 100, 3000, gpus=4)
    assert "Looking at the workloads" in opened(log_in, relieve="c1", cap="9")
    found = streamed(relieve="c1", cap="9")["energy-shift"]
    assert "c1 draws 10.0 kW: 1.00 kW have to go to get below 9.00 kW. These free 2.00 kW and leave 8.00 kW." in found
    assert re.search(r"1 globex m2 batch may wait 2\.00 2\.00 8\.00 pause no room where its model runs", found)
    assert "Assumed: the load is as in the hour from" in found
    assert (
        "All workloads together free 8.00 kW; 1.00 kW are missing." in streamed(relieve="c1", cap="1")["energy-shift"]
    )
    assert "told its power" in streamed(relieve="nowhere", cap="1")["energy-shift"]


def test_without_energy_it_says_what_to_install_and_to_set(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "No energy was measured in this range" in page
    assert "docs/agent.md" in page
    assert "manage.py set_energy_price" in page


@pytest.mark.parametrize("query", [{"range": "1y"}, {"by": "node"}, {"cap": "much"}, {"cap": "-1"}])
def test_an_address_that_asks_for_what_there_is_not_is_400(query: dict[str, str], log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-energy"), query).status_code == 400


def test_it_says_that_clickhouse_is_down(log_in: LogIn, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    assert log_in("operator").get(reverse("operator-energy")).status_code == 503


def test_a_window_that_is_not_conserved_is_told_with_by_how_much() -> None:
    amounts = EnergyAmounts(kwh=Decimal(1))
    broken = health(windows_not_conserved=2, worst_error=2.3e-4)
    [first] = shown.findings(report(total=amounts), broken)
    assert (first.tone, first.text) == (
        "bad",
        "In 2 windows of the last 24 hours the parts are not what the counter says, by up to 2e-04.",
    )
    assert [one.tone for one in shown.tiles(report(total=amounts), broken) if one.key == "error"] == ["bad"]
    assert shown.findings(report(total=amounts), health()) == []


def test_coefficients_come_with_their_errors_and_assumed_ones_are_flagged() -> None:
    fitted = CoefficientsInfo(
        id=1,
        model="m1",
        product="H100",
        simulated=False,
        prefill_j=0.3123,
        prefill_context_j=2.934e-06,
        decode_j=2.414,
        decode_w=265.61,
        prefill_error_j=0.0041,
        prefill_context_error_j=8.1e-08,
        decode_error_w=1.23,
        decode_error_j=0.031,
        r_squared=0.98734,
        windows=9804,
        data_from=HOUR - timedelta(days=7),
        data_until=HOUR,
        effective_from=HOUR,
        assumed=False,
        latest_refused="R^2 0.3 is too low",
    )
    unknown = dict.fromkeys(
        (
            "prefill_error_j",
            "prefill_context_error_j",
            "decode_error_j",
            "decode_w",
            "decode_error_w",
            "r_squared",
            "data_from",
            "data_until",
        )
    )
    assumed = CoefficientsInfo(**(vars(fitted) | unknown | {"assumed": True, "windows": 0, "latest_refused": ""}))
    one, other = shown.coefficients([fitted, assumed])
    assert (one.prefill, one.decode, one.r_squared, one.windows) == ("0.312 ± 0.004", "2.41 ± 0.03", "0.987", "9,804")
    assert (one.context, one.decode_w) == ("0.00293 ± 8e-05", "266 ± 1")
    assert (one.assumed, one.refused) == (False, "R^2 0.3 is too low")
    assert (other.prefill, other.assumed, other.r_squared, other.windows) == ("0.312", True, "–", "–")  # noqa: RUF001


@pytest.mark.parametrize(
    ("value", "shown_as"),
    [(None, "–"), (0.0712, "0.071"), (0.46, "0.460"), (3.8, "3.80"), (1234.5, "1,234.50")],  # noqa: RUF001
)
def test_joules_are_shown_to_about_three_digits(value: float | None, shown_as: str) -> None:
    assert shown.joules(value) == shown_as
