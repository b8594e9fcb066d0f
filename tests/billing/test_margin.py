"""Margins out of the ledger and the energy windows: golden cases by hand, and sums that come to the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import pricebook
from billing.contracts import MarginAmounts, MarginGap, MarginReport
from billing.margin import margin_report, margin_settled_hour, window_end
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use
from tests.billing.energy import USED, attributed, energy_costs_from_now_on, nobodys, settle

pytestmark = pytest.mark.usefixtures("only_own_rows", "settled", "prices")

D = Decimal
HOUR = timedelta(hours=1)


def whole_month(**asked: object) -> MarginReport:
    return margin_report(MONTH.start, MONTH.end, **({"window": "month"} | asked))  # type: ignore[arg-type]


def test_revenue_less_energy_less_gpu_time_of_a_tenant_and_model(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="1.25", gpu_hours="2")
    (row,) = whole_month().rows
    assert (row.window_start, row.tenant, row.model, row.label) == (MONTH.start, tenant.key, "m", "")
    assert row.amounts == (MarginAmounts("USD", D("7.5"), D("0.25"), D(5)),)
    assert (row.margin, row.margin_share, row.gaps) == (D("2.25"), D("0.300000"), ())
    assert (row.requests, row.measured_requests, row.energy_j, row.gpu_s) == (1, 1, 4_500_000, 7200)


def test_what_is_nobodys_is_in_rows_of_its_own_and_the_total_has_all_cost(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="1.25", gpu_hours="1")
    nobodys(NOON, idle_nkwh="0.5", idle_gpu_nh="1", gap_nkwh="0.05", gap_gpu_nh="0.1", aborted_nkwh="0.2")
    nobodys(NOON, node="n2", engine="", model="", no_engine_nkwh="1", no_engine_gpu_nh="0.4")
    found = whole_month()
    assert {(row.tenant, row.model, row.label): row.margin for row in found.rows} == {
        (tenant.key, "m", ""): D("4.75"),
        ("", "m", "idle"): D("-2.6"),
        ("", "m", "gap"): D("-0.26"),
        ("", "m", "aborted"): D("-0.04"),
        ("", "", "no_engine"): D("-1.2"),
    }
    assert found.total.amounts == (MarginAmounts("USD", D("7.5"), D("0.6"), D("6.25")),)
    assert found.total.margin == D("0.65") == sum(row.margin or 0 for row in found.rows)
    assert found.total.energy_j == pytest.approx(3.0 * 3_600_000)


def test_a_month_is_the_sum_of_its_hours_to_the_last_digit(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on("0.199999999", "2.333333333")
    metering.energy_set_price(region="*", per_kwh="0.07", currency="USD", from_hour=22, to_hour=6)
    pricebook.set_price(model="m", kind="output", per_million="0.7", currency="USD", effective_from=NOON)
    for n in range(30):
        at = MONTH.start + n * 23 * HOUR
        use(tenant.key, {"id": f"r{n}", "time": at, "input_tokens": 1_234_567 + n, "output_tokens": 987_654 - n})
        attributed(at, tenant.key, kwh=f"0.{n:02}1234567", gpu_hours=f"0.{n:02}7654321")
        nobodys(at, idle_nkwh="0.000000001", idle_gpu_nh="0.000000003")
    hours, days, whole = whole_month(window="hour"), whole_month(window="day"), whole_month()
    assert (len(hours.rows), len(whole.rows)) == (60, 2)
    margin = whole.total.margin
    assert margin is not None
    for part in (hours, days):
        assert part.total.energy_j == pytest.approx(whole.total.energy_j)
        assert replace(part.total, energy_j=0.0, gpu_s=0.0) == replace(whole.total, energy_j=0.0, gpu_s=0.0)
        assert sum((row.margin for row in part.rows if row.margin is not None), D(0)) == margin
    for side in ("revenue", "energy_cost", "gpu_cost"):
        parts = (getattr(one, side) for row in hours.rows for one in row.amounts)
        assert sum(parts, D(0)) == getattr(whole.total.amounts[0], side)


def test_a_margin_may_be_a_loss(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="0.5", gpu_hours="4")
    (row,) = whole_month().rows
    assert (row.margin, row.margin_share) == (D("-2.6"), D("-0.346667"))


def test_revenue_and_cost_in_two_currencies_stand_side_by_side(tenant_key: str, use: Use) -> None:
    energy_costs_from_now_on()
    euros = metering.create_tenant(tenant_key, currency="EUR")
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="EUR")
    use(euros.key, USED)
    attributed(NOON, euros.key, kwh="1", gpu_hours="1")
    (row,) = whole_month().rows
    assert row.amounts == (MarginAmounts("EUR", D(20), D(0), D(0)), MarginAmounts("USD", D(0), D("0.2"), D("2.5")))
    assert (row.margin, row.gaps) == (None, (MarginGap.CURRENCIES_DIFFER,))
    energy_costs_from_now_on("0.18", "2.25", "EUR")  # beside those in USD
    (row,) = whole_month().rows
    assert (row.margin, row.amounts) == (D("17.57"), (MarginAmounts("EUR", D(20), D("0.18"), D("2.25")),))


def test_a_region_with_a_currency_of_its_own_is_only_a_part(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    metering.energy_set_price(region="us", per_kwh="0.1", currency="USD")
    metering.energy_set_price(region="eu", per_kwh="0.3", currency="EUR")
    use(tenant.key, {"id": "1"} | USED, {"id": "2"} | USED)
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1", node="n2", region="us")
    (row,) = whole_month().rows
    # In the eu '*' gives a price in USD too, so in USD all of it is known, and in EUR half of it.
    assert row.amounts == (MarginAmounts("USD", D(15), D("0.3"), D(5)),)


def test_usage_without_a_price_has_no_revenue_and_says_of_how_many_tokens(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    use(tenant.key, {"model": "priceless", "input_tokens": 30, "output_tokens": 12})
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1", model="priceless")
    (row,) = whole_month().rows
    assert row.amounts == (MarginAmounts("USD", None, D("0.2"), D("2.5")),)
    assert (row.margin, row.unpriced_tokens, row.gaps) == (None, 42, (MarginGap.UNPRICED_USAGE,))


def test_energy_and_gpus_without_a_price_are_not_free(tenant: TenantInfo, use: Use) -> None:
    metering.energy_set_price(region="us", per_kwh="0.1", currency="USD")
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    (row,) = whole_month().rows
    assert row.amounts == (MarginAmounts("USD", D("7.5"), None, None),)
    assert row.gaps == (MarginGap.UNPRICED_ENERGY, MarginGap.UNPRICED_GPU_TIME)


def test_usage_that_no_agent_measured_has_no_margin(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    use(tenant.key, {"id": "1"} | USED, {"id": "2", "model": "elsewhere"}, {"id": "3", "status": "error"})
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    found = whole_month()
    gaps = {row.model: (row.gaps, row.requests, row.measured_requests) for row in found.rows}
    assert gaps["m"] == ((), 2, 1)  # the one that failed need not have run anywhere
    assert MarginGap.NOT_MEASURED in gaps["elsewhere"][0]
    assert MarginGap.NOT_MEASURED in found.total.gaps


def test_what_is_not_settled_has_no_margin_yet(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    settle(NOON + 90 * timedelta(minutes=1))
    assert margin_settled_hour() == NOON + HOUR
    for n in range(2):
        use(tenant.key, {"id": f"r{n}", "time": NOON + n * HOUR} | USED)
        attributed(NOON + n * HOUR, tenant.key, kwh="1", gpu_hours="1")
    rows = margin_report(NOON, NOON + 2 * HOUR, window="hour").rows
    assert [row.gaps for row in rows] == [(), (MarginGap.OPEN,)]
    (row,) = whole_month().rows
    assert row.gaps == (MarginGap.OPEN,)
    (row,) = margin_report(MONTH.start, NOON + HOUR, window="month").rows
    assert row.margin == D("4.8")


def test_one_tenant_is_without_the_others_and_without_what_is_nobodys(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    other = metering.create_tenant(f"{tenant.key}-o")
    for key in (tenant.key, other.key):
        use(key, USED)
        attributed(NOON, key, kwh="1", gpu_hours="1")
    nobodys(NOON, idle_nkwh="1")
    found = whole_month(tenant=tenant.key)
    assert [row.tenant for row in found.rows] == [tenant.key]
    assert found.total.margin == D("4.8")
    assert len(whole_month().rows) == 3


def test_groups(tenant: TenantInfo, use: Use) -> None:
    energy_costs_from_now_on()
    pricebook.set_price(model="small", kind="input", per_million="1", currency="USD")
    pricebook.set_price(model="small", kind="output", per_million="1", currency="USD")
    use(tenant.key, {"id": "1"} | USED, {"id": "2", "model": "small"} | USED)
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1", model="small")
    nobodys(NOON, idle_nkwh="1")
    assert [(row.tenant, row.model, row.label) for row in whole_month(group_by=("tenant",)).rows] == [
        ("", "", "idle"),
        (tenant.key, "", ""),
    ]
    by_model = {(row.model, row.label): row.margin for row in whole_month(group_by=("model",)).rows}
    assert by_model == {("m", ""): D("4.8"), ("small", ""): D("17.3"), ("m", "idle"): D("-0.2")}
    assert [row.margin for row in whole_month(group_by=()).rows] == [D("22.1"), D("-0.2")]


def test_simulated_energy_is_marked(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1", simulated=True)
    assert whole_month().rows[0].simulated


def test_bounds_windows_and_groups_that_are_none_raise() -> None:
    for start, end in ((NOON + timedelta(minutes=1), MONTH.end), (NOON.replace(tzinfo=None), MONTH.end)):
        with pytest.raises(ValueError, match="whole hour"):
            margin_report(start, end, window="hour")
    with pytest.raises(ValueError, match="empty"):
        margin_report(NOON, NOON, window="hour")
    with pytest.raises(ValueError, match="unknown window 'week'"):
        margin_report(NOON, MONTH.end, window="week")
    with pytest.raises(ValueError, match="unknown group 'tier'"):
        margin_report(NOON, MONTH.end, window="hour", group_by=("tier",))


def test_windows_end_where_the_next_begins_or_the_time_asked_for_ends() -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC)
    assert [window_end(NOON, name, end) for name in ("hour", "day", "month", "total")] == [
        NOON + HOUR,
        NOON + 24 * HOUR,
        datetime(2026, 2, 1, tzinfo=UTC),
        end,
    ]
    assert window_end(NOON, "day", NOON + 2 * HOUR) == NOON + 2 * HOUR
