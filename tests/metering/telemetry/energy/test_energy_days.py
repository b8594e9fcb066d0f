"""Days that are summed up say the same as their hours, and count only while nobody has written to them since."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.clickhouse import client
from metering.models import EnergyDay
from metering.telemetry.energy import days, prices
from metering.telemetry.energy.report import OTHERS, EnergyReport, energy_costs, energy_report, energy_series
from metering.telemetry.spans import Span
from tests.billing.energy import attributed, attributed_hours, nobodys_hours, settle
from tests.metering.rows import empty_tables

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]
D = Decimal
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = (datetime.now(UTC) - 6 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
TABLES = (
    "energy_windows",
    "energy_attributed",
    "energy_hours",
    "energy_attributed_hours",
    "energy_days",
    "energy_tenant_days",
)
GROUPS = ((), ("tenant",), ("tenant", "model"), ("model", "tier", "region"), ("cluster",), ("tenant", "cluster"))


@pytest.fixture(autouse=True)
def nothing_else(clickhouse: None) -> None:
    empty_tables(*TABLES, "energy_day_hours")


@pytest.fixture
def three_days(nothing_else: None, db: None) -> None:
    """In each of 72 hours two customers on two engines, and something of nobody's; settled a while after."""
    for node in (0, 1):
        hours, place = [FIRST + number * HOUR for number in range(node, 72, 2)], {"node": f"n{node}"}
        used = {"prefill_tokens": 10.0, "decode_tokens": 3.5}
        attributed_hours(hours, "acme", kwh="0.000000007", gpu_hours="0.1", **place, **used)
        attributed_hours(hours, "globex", kwh="2", gpu_hours="0.2", **place, model="m2", tier="batch", region="us")
        nobodys_hours(hours, **place, cluster=f"c{node}", idle_nkwh="0.5", gap_nkwh="0.1", idle_gpu_nh="0.3")
    settle(FIRST + 5 * DAY)


def summed(now: datetime | None = None) -> int:
    return days.sum_up(now=now)


def everything(start: datetime, end: datetime, **asked: Any) -> list[EnergyReport]:
    return [
        energy_report(start, end, window=window, group_by=groups, **asked)
        for window in ("hour", "day", "month", "total")
        for groups in GROUPS
    ]


@pytest.mark.usefixtures("three_days")
@pytest.mark.parametrize(
    ("start", "end"),
    [(FIRST, FIRST + 3 * DAY), (FIRST + 5 * HOUR, FIRST + 2 * DAY + 7 * HOUR), (FIRST + HOUR, FIRST + 2 * HOUR)],
)
def test_reports_are_the_same_before_and_after(start: datetime, end: datetime) -> None:
    prices.set_energy_price(region="*", per_kwh="0.123456789", currency="EUR")
    before, costs = everything(start, end), energy_costs(start, end, "total")
    assert summed() == 3
    assert everything(start, end) == before
    assert energy_costs(start, end, "total") == costs
    assert before[0].total.kwh


@pytest.mark.usefixtures("three_days")
@pytest.mark.parametrize(
    "only", [{"tenant": "acme"}, {"cluster": "c1"}, {"tenant": "globex", "cluster": "c0"}, {"tier": "batch"}]
)
def test_narrowed_reports_are_the_same_too(only: dict[str, str]) -> None:
    before = everything(FIRST, FIRST + 3 * DAY, only=only)
    summed()
    assert everything(FIRST, FIRST + 3 * DAY, only=only) == before
    assert all(report.total.kwh for report in before)


@pytest.mark.usefixtures("three_days")
def test_prices_with_hours_and_prices_that_change_within_a_day_cost_the_same() -> None:
    prices.set_energy_price(region="*", per_kwh="0.3", currency="EUR")
    prices.set_energy_price(region="us", per_kwh="0.1", currency="EUR", from_hour=22, to_hour=6)
    prices.set_energy_price(region="*", per_kwh="0.4", currency="EUR", effective_from=FIRST + DAY + 5 * HOUR)
    before = everything(FIRST, FIRST + 3 * DAY)
    summed()
    assert everything(FIRST, FIRST + 3 * DAY) == before


@pytest.mark.usefixtures("three_days")
def test_a_price_with_other_hours_is_heeded_at_once_and_the_days_are_summed_up_anew() -> None:
    summed()
    prices.set_energy_price(region="*", per_kwh="1", currency="EUR", from_hour=0, to_hour=12)
    [row] = [
        row for row in energy_report(FIRST, FIRST + DAY, group_by=("tenant",)).rows if row.groups["tenant"] == "globex"
    ]
    assert row.amounts.energy_cost == {"EUR": D(24)}
    assert summed() == 3
    [row] = [
        row for row in energy_report(FIRST, FIRST + DAY, group_by=("tenant",)).rows if row.groups["tenant"] == "globex"
    ]
    assert row.amounts.energy_cost == {"EUR": D(24)}
    assert summed() == 0


@pytest.mark.usefixtures("three_days")
def test_a_day_that_is_written_to_is_read_from_its_hours_until_it_is_summed_up_anew() -> None:
    summed()
    days.taken_back(Span(FIRST + DAY + HOUR, FIRST + DAY + 2 * HOUR))
    attributed(FIRST + DAY, "late", kwh="5", gpu_hours="1", engine="e9")
    assert [row.version > 0 for row in EnergyDay.objects.all()] == [True, False, True]
    assert kwh("late") == 5
    assert summed() == 0  # more may be about to come
    assert summed(datetime.now(UTC) + 2 * days.RESTS) == 1
    assert kwh("late") == 5
    empty_tables("energy_attributed_hours")
    assert (kwh("late"), kwh("globex")) == (5, 72 * 2)


@pytest.mark.usefixtures("three_days")
def test_a_day_that_is_not_over_is_not_summed_up() -> None:
    settle(FIRST + 2 * DAY + 5 * HOUR)
    assert summed() == 2
    assert [row.day for row in EnergyDay.objects.all()] == [FIRST.date(), (FIRST + DAY).date()]


@pytest.mark.usefixtures("three_days")
def test_what_is_written_while_a_day_is_summed_up_keeps_its_sums_from_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    done = days._do

    def interrupted(query: client.Query) -> None:
        done(query)
        days.taken_back(Span(FIRST, FIRST + HOUR))

    monkeypatch.setattr(days, "_do", interrupted)
    summed()
    assert EnergyDay.objects.get(day=FIRST.date()).version == 0


@pytest.mark.usefixtures("three_days")
def test_only_the_largest_have_rows_and_the_others_are_together() -> None:
    found = energy_report(FIRST, FIRST + DAY, group_by=("tenant",), largest=1)
    rows = {row.groups["tenant"]: row.amounts.kwh for row in found.rows if not row.label}
    assert rows == {"globex": 48, OTHERS: D("24e-9") * 7}
    assert found.total == energy_report(FIRST, FIRST + DAY).total


@pytest.mark.usefixtures("three_days")
@pytest.mark.parametrize("after", [False, True])
def test_a_series_comes_to_the_report_by_hours_and_by_days(after: bool) -> None:
    if after:
        summed()
    whole = float(energy_report(FIRST, FIRST + 3 * DAY).total.kwh)
    for group, step in (("model", HOUR), ("tenant", DAY), ("tenant", HOUR), ("", DAY)):
        points = energy_series(FIRST, FIRST + 3 * DAY, step, group=group)
        assert sum(point.kwh for point in points) == pytest.approx(whole)
        assert len({point.start for point in points}) == 3 * DAY / step
    named = energy_series(FIRST, FIRST + 3 * DAY, DAY, group="tenant", named=["acme"])
    assert {point.value for point in named if not point.label} == {"acme", OTHERS}
    assert {point.label for point in named} == {"", "idle", "gap"}


def kwh(tenant: str) -> Decimal:
    found = energy_report(FIRST, FIRST + 3 * DAY, group_by=("tenant",))
    return sum((row.amounts.kwh for row in found.rows if row.groups["tenant"] == tenant), D(0))
