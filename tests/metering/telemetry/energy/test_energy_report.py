"""Reports by window and group: all rows come to the counters, costs are exact, idle time and causes have rows of their own."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering import public as metering
from metering.clickhouse import client
from metering.telemetry.energy import prices, writing
from metering.telemetry.energy.amounts import total
from metering.telemetry.energy.report import LABELS, EnergyReport, EnergyRow, energy_costs, energy_report
from metering.telemetry.spans import Span
from tests.metering.rows import empty_tables
from tests.metering.telemetry.energy.scene import Scene

pytestmark = pytest.mark.usefixtures("clickhouse", "db")
D = Decimal
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_else(clickhouse: None) -> None:
    """Reports cover all nodes: what other tests wrote is taken away."""
    energy = ("energy_windows", "energy_attributed", "energy_hours", "energy_attributed_hours")
    empty_tables(*energy, "gpu_samples", "engine_samples")


@pytest.fixture
def scene(tenant_key: str) -> Scene:
    """Two hours of a GPU in the region eu at 360 W: a minute's request of each of two tenants in each hour, and a gap at the end."""
    found = Scene(tenant_key)
    place = {"region": "eu", "name": "H100"}
    found.steady_gpu(7000, 360, step=20, begin=-20, **place)
    found.gpu((7220.0, 7240 * 360.0, None), **place)
    found.quiet_engine(7220, step=20, begin=-20, region="eu", model="llama")
    for hour in (0, 3600):
        for minute, name in ((10, "a"), (20, "b")):
            found.request(hour + minute * 60, 60, tenant=f"{tenant_key}-{name}", ttft_ms=1000.0, id=f"{hour}-{minute}")
    for hour in (0, 1):
        writing.write(Span(found.start + hour * HOUR, found.start + (hour + 1) * HOUR))
    return found


def report(scene: Scene, hours: int = 2, **asked: Any) -> EnergyReport:
    return energy_report(scene.start, scene.start + hours * HOUR, **asked)


def named(found: EnergyReport, *names: str) -> dict[tuple[Any, ...], EnergyRow]:
    return {(row.label, *(row.groups[name] for name in names)): row for row in found.rows}


def test_all_rows_come_to_the_counter(scene: Scene) -> None:
    found = report(scene, group_by=("tenant",))
    assert found.total.joules == D(7200 * 360)
    rows = named(found, "tenant")
    a, b = f"{scene.tenant}-a", f"{scene.tenant}-b"
    assert set(rows) == {("", a), ("", b), ("idle", ""), ("gap", "")}
    assert rows["", a].amounts.joules == rows["", b].amounts.joules == D(2 * 60 * 360)
    assert rows["gap", ""].amounts.joules == D(200 * 360)
    assert rows["idle", ""].amounts.joules == D((7200 - 200 - 240) * 360)
    assert rows["", a].amounts.requests == 2
    assert rows["", a].amounts.joules_per_output_token == pytest.approx(2 * 60 * 360 / 20)


@pytest.mark.parametrize("window", ["hour", "day", "month", "total"])
def test_every_window_and_group_adds_up_to_the_same(scene: Scene, window: str) -> None:
    prices.set_energy_price(region="eu", per_kwh="0.123456789", currency="EUR")
    whole = report(scene).total
    for groups in ((), ("tenant", "model"), ("tier",), ("region", "node", "engine")):
        found = report(scene, window=window, group_by=groups)
        assert found.total == whole
        assert total(row.amounts for row in found.rows) == whole


def test_windows_have_their_own_rows_and_times(scene: Scene) -> None:
    found = report(scene, window="hour", only={"tenant": f"{scene.tenant}-a"})
    assert [(row.window_start, row.amounts.joules) for row in found.rows] == [
        (scene.start, D(60 * 360)),
        (scene.start + HOUR, D(60 * 360)),
    ]


def test_a_cost_follows_the_price_of_each_hour_and_region(scene: Scene) -> None:
    prices.set_energy_price(region="*", per_kwh="99", currency="EUR")
    prices.set_energy_price(region="eu", per_kwh="0.20", currency="EUR")
    prices.set_energy_price(region="eu", per_kwh="0.40", currency="EUR", effective_from=scene.start + HOUR)
    prices.set_energy_price(region="eu", per_kwh="0.10", currency="USD")
    night = (scene.start + HOUR).hour
    prices.set_energy_price(region="eu", per_kwh="7", currency="GBP", from_hour=night, to_hour=(night + 1) % 24)
    prices.set_carbon_intensity(region="eu", g_per_kwh="250")
    prices.set_gpu_price(product="H100", region="*", per_gpu_hour="2", currency="USD")
    amounts = named(report(scene, group_by=("tenant",)), "tenant")["", f"{scene.tenant}-a"].amounts
    kwh = D("0.006")  # of a minute at 360 W
    assert amounts.energy_cost == {"EUR": kwh * D("0.6"), "GBP": kwh * 7, "USD": 2 * kwh * D("0.1")}
    assert amounts.gpu_cost == {"USD": (2 * D("0.016666667")) * 2}
    assert amounts.co2_g == 2 * kwh * 250
    assert (amounts.unpriced_kwh, amounts.unpriced_gpu_hours, amounts.co2_unknown_kwh) == (0, 0, 0)


def test_without_prices_the_energy_stands_beside_no_cost(scene: Scene) -> None:
    amounts = report(scene).total
    assert (amounts.energy_cost, amounts.gpu_cost) == ({}, {})
    assert amounts.unpriced_kwh == amounts.co2_unknown_kwh == amounts.kwh == D("0.72")
    assert amounts.unpriced_gpu_hours == amounts.gpu_hours
    assert float(amounts.gpu_hours) == pytest.approx(2, abs=1e-8)  # each row is rounded to a billionth of an hour


def test_filters_narrow_by_every_group(scene: Scene) -> None:
    assert report(scene, only={"node": scene.node}).total.joules == D(7200 * 360)
    for name in ("tenant", "model", "tier", "region", "node", "engine"):
        assert report(scene, only={name: "other"}).rows == ()
    assert report(scene, only={"model": "llama"}).total.joules == D((7200 - 240) * 360)


def test_what_is_not_asked_for_whole_hours_in_order_is_refused(scene: Scene) -> None:
    start, end = scene.start, scene.start + HOUR
    for wrong in ((start + timedelta(minutes=1), end), (end, start), (start, start), (start.replace(tzinfo=None), end)):
        with pytest.raises(ValueError, match=r"hour|empty"):
            energy_report(*wrong)
    with pytest.raises(ValueError, match="window"):
        energy_report(start, end, window="minute")
    with pytest.raises(ValueError, match="group"):
        energy_report(start, end, group_by=["drop table"])
    with pytest.raises(ValueError, match="filter"):
        energy_report(start, end, only={"drop table": "x"})
    with pytest.raises(ValueError, match="15 years"):
        energy_report(start, start + timedelta(days=366 * 16))


def test_costs_for_margins_are_by_window_tenant_and_model_with_nobodys_rows(scene: Scene) -> None:
    prices.set_energy_price(region="eu", per_kwh="0.20", currency="EUR")
    found = energy_costs(scene.start, scene.start + HOUR, "hour")
    assert [(row.tenant, row.model, row.label) for row in found] == [
        (f"{scene.tenant}-a", "m", ""),
        (f"{scene.tenant}-b", "m", ""),
        ("", "llama", "idle"),
    ]
    own, idle = found[0], found[2]
    assert (own.energy_j, own.gpu_s, own.requests) == (pytest.approx(21_600), pytest.approx(60), 1)
    assert (own.energy_cost, own.unpriced_energy_j) == ({"EUR": D("0.0012")}, 0)
    assert (own.gpu_cost, own.unpriced_gpu_s) == ({}, pytest.approx(60))
    assert idle.gpu_s == pytest.approx(3480)
    assert sum(row.energy_j for row in found) == pytest.approx(3600 * 360)


def test_what_is_simulated_says_so(tenant_key: str) -> None:
    scene = Scene(tenant_key)
    scene.steady_gpu(60, 100, simulated=True)
    scene.quiet_engine(60, simulated=True)
    writing.write(scene.span(1))
    assert report(scene, 1).total.simulated
    assert all(row.simulated for row in energy_costs(scene.start, scene.start + HOUR, "total"))


def test_every_cause_has_a_label() -> None:
    assert list(LABELS) == ["idle", "gap", "no_event", "aborted", "no_engine"]


def test_health_tells_the_latest_window_the_worst_error_and_the_shares(scene: Scene) -> None:
    now = scene.start + 3 * HOUR
    found = metering.energy_health(now)
    assert found.latest_window == scene.start + timedelta(minutes=119)
    assert found.windows == 120
    assert found.worst_error < 1e-9
    assert (found.windows_not_conserved, found.counter_j) == (0, pytest.approx(7200 * 360))
    assert found.shares["gap"] == pytest.approx(200 / 7200)
    assert sum(found.shares.values()) == pytest.approx(1)
    client.statement(
        "test_wrong",
        "INSERT INTO energy_windows (window_start, node, engine, counter_j, gpu_s, conservation_error, version)"
        " VALUES (toDateTime(%(at)s, 'UTC'), 'wrong', 'e', 100, 60, 0.5, 1)",
        {"at": int((scene.start + timedelta(minutes=5)).timestamp())},
    )
    found = metering.energy_health(now)
    assert (found.windows_not_conserved, found.worst_error) == (1, 0.5)


def test_health_of_nothing_is_empty() -> None:
    found = metering.energy_health(datetime.now().astimezone())
    assert (found.latest_window, found.windows, found.shares, found.coefficients) == (None, 0, {}, ())
