"""The overview's tiles: values, units, objectives, records, changes and where they lead. Pure but for the addresses."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.contracts import MarginAmounts, MarginGap, MarginReport, MarginRow
from dashboard.formats import MINUS, NOTHING
from dashboard.operator.filters import Filters
from dashboard.operator.overview import Before, Freshness, Now, Overview
from dashboard.operator.overview_fleet import FleetNow, summed
from dashboard.operator.overview_money import money_tiles
from dashboard.operator.overview_tiles import change, tiles
from dashboard.operator.tiles import Tile
from dashboard.operator.today import Money
from metering.objectives.states import Tally
from metering.public import GpuPoint, LiveCounts, LivePoint, LiveScope, ObjectiveState, Quantiles
from tests.dashboard.fleet_states import gpu

AT = datetime(2026, 3, 10, 12, 0, 20, tzinfo=UTC)
LATENCY = Quantiles(100.0, 200.0, 400.0, 800.0)
RECENT = LivePoint(
    AT - timedelta(minutes=5),
    AT,
    LiveCounts(300, ok=2700, error=300, input_tokens=3_000_000, output_tokens=30_000),
    LATENCY,
)
NOW = Now(
    AT,
    LiveCounts(60, ok=594, error=6, input_tokens=600_000, output_tokens=12_000),
    RECENT,
    LiveCounts(43_220, ok=500, input_tokens=3 * 10**9),
)
FLEET = FleetNow(32, 27, 0.41, 18_400.0, 22_400.0, simulated=False)
NOTHING_TOLD: dict[str, Any] = dict.fromkeys(GpuPoint.__dataclass_fields__)
THEN = GpuPoint(**NOTHING_TOLD | {"start": AT, "group": {}, "gpus": 32, "simulated": False, "power_w": 20_000.0})


def overview(**fields: Any) -> Overview:
    usual: dict[str, Any] = {"filters": Filters(), "at": AT, "freshness": Freshness(None, True, None)}
    return Overview(**usual | {"now": NOW, "fleet": FLEET} | fields)


def shown(found: Overview) -> dict[str, Tile]:
    return {tile.key: tile for tile in tiles(found)}


def test_what_is_not_read_yet_is_no_number_and_stands_where_it_will_be() -> None:
    without, whole = shown(overview(now=None)), shown(overview())
    assert list(without) == list(whole)
    read = {key for key, tile in without.items() if tile.note != "being read"}
    assert read == {"gpus", "power", "newest"}
    for key in without.keys() - read:
        assert (without[key].label, without[key].value, without[key].unit) == (whole[key].label, "\N{EN DASH}", "")


def test_every_tile_has_a_value_a_unit_and_a_page() -> None:
    found = shown(overview())
    values = {key: f"{tile.value} {tile.unit}".strip() for key, tile in found.items()}
    assert values == {
        "requests": "10.0 / s",
        "input": "10,000 / s",
        "output": "200 / s",
        "errors": "1.00 %",
        "today": "3.00 G",
        "ttft": "400 ms",
        "tpot": NOTHING,
        "e2e": NOTHING,
        "gpus": "27 of 32",
        "power": "18.4 of 22.4 kW",
        "joules": "92.0 J",
        "revenue": NOTHING,
        "margin": NOTHING,
        "newest": "> 15 min ago",
    }
    assert all(tile.link.startswith("/") for tile in found.values())


def test_links_carry_the_filters_along() -> None:
    found = shown(overview(filters=Filters("24h", model="llama & co")))
    assert found["ttft"].link.endswith("?range=24h&model=llama+%26+co")
    assert "?" not in found["newest"].link


def test_the_day_is_held_against_the_record_of_all_customers_only() -> None:
    record = (date(2026, 3, 1), 4 * 10**9)
    assert shown(overview(record=record))["today"].note == "75 % of the record, 4.00 G on 1 Mar"
    assert shown(overview(record=(date(2026, 3, 1), 10**9)))["today"].note == "a record; so far 1.00 G on 1 Mar"
    assert "since 00:00 UTC" in shown(overview(record=record, filters=Filters(tenant="acme")))["today"].note


def objective(share_5m: float, share_1h: float, **scope: str) -> ObjectiveState:
    recent = {"5m": Tally(round(share_5m * 1000), 1000), "1h": Tally(round(share_1h * 1000), 1000)}
    return ObjectiveState(
        "fast", LiveScope(**scope), "ttft_ms", 500.0, 0.99, timedelta(days=30), AT, AT, Tally(), recent
    )


@pytest.mark.parametrize(
    ("one", "note", "tone"),
    [
        (objective(0.995, 0.995), "99.50 % of 99 % within 500 ms", ""),
        (objective(0.9, 0.995), "90.00 % of 99 % within 500 ms", ""),
        (objective(0.9, 0.9), "90.00 % of 99 % within 500 ms", "bad"),
        (objective(0.9, 0.9, model="qwen"), "last 5 min, no objective", ""),
    ],
    ids=["kept", "a bad moment", "missed", "of another part"],
)
def test_a_latency_is_held_against_the_objective_for_what_is_shown(one: ObjectiveState, note: str, tone: str) -> None:
    found = shown(overview(objectives=[one]))["ttft"]
    assert (found.note, found.tone) == (note, tone)


def test_compared_with_before_each_says_how_it_changed() -> None:
    quarter = replace(
        RECENT,
        counts=LiveCounts(300, ok=1500, input_tokens=1_500_000, output_tokens=60_000),
        ttft_ms=replace(LATENCY, p95=500.0),
    )
    before = Before(quarter, LiveCounts(43_220, input_tokens=4 * 10**9), THEN)
    found = shown(overview(filters=Filters("24h", compare="previous"), before=before))
    assert found["requests"].change == "+100 % on 24 hours before"
    assert found["ttft"].change == f"{MINUS}20 % on 24 hours before"
    assert found["errors"].change == "0 % 24 hours before"
    assert found["today"].change == f"{MINUS}25 % on the day before"
    assert found["power"].change == f"{MINUS}8 % on 24 hours before"
    assert found["joules"].change == f"{MINUS}8 % on 24 hours before"
    assert not any(tile.change for tile in shown(overview()).values())


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (None, 1.0, ""),
        (1.0, None, ""),
        (0.0, 0.0, "as 1 hour before"),
        (1.0, 0.0, "none 1 hour before"),
        (1.0, 1.0, "\N{PLUS-MINUS SIGN}0 % on 1 hour before"),
        (2500.0, 2.0, "1,250 times 1 hour before"),
    ],
)
def test_a_change_of_what_is_not_known_or_nothing_is_no_number(
    now: float | None, before: float | None, text: str
) -> None:
    assert change(now, before, "1 hour") == text


def test_joules_a_token_are_of_all_requests_only() -> None:
    assert shown(overview(filters=Filters(tenant="acme")))["joules"].value == NOTHING
    assert shown(overview(fleet=replace(FLEET, power_w=None)))["joules"].value == NOTHING


def test_without_gpus_nothing_is_made_up() -> None:
    found = shown(overview(fleet=FleetNow(0, None, None, None, None, simulated=False)))
    assert (found["gpus"].value, found["power"].value) == (NOTHING, NOTHING)


def test_gpus_are_added_up_without_their_parts_and_with_unknown_left_unknown() -> None:
    busy = gpu(0, sm_active=0.5, power_w=400.0, power_limit_w=700.0)
    idle = gpu(1, gpu_utilization=0.0, power_w=80.0, power_limit_w=700.0)
    part = replace(gpu(0, sm_active=1.0), mig="1g.10gb")
    assert summed([busy, idle, part]) == FleetNow(2, 1, 0.25, 480.0, 1400.0, simulated=False)
    assert summed([busy, replace(idle, power_limit_w=None)]).limit_w is None
    assert summed([]) == FleetNow(0, None, None, None, None, simulated=False)


def report(*amounts: MarginAmounts, margin: str | None = None, gaps: tuple[MarginGap, ...] = ()) -> MarginReport:
    value = None if margin is None else Decimal(margin)
    total = MarginRow(
        AT, "", "", "", 1, 1, 0, 1.0, 1.0, amounts, value, None if value is None else Decimal("0.61"), gaps, False
    )
    return MarginReport(AT, AT.replace(hour=11, minute=0, second=0), AT, (), total)


def money(*found: Tile) -> list[tuple[str, str, str, str]]:
    return [(tile.label, tile.value, tile.unit, tile.tone) for tile in found]


USD, EUR = (MarginAmounts(name, Decimal("1234.5"), Decimal(10), Decimal(20)) for name in ("USD", "EUR"))


def test_money_of_today_is_stated_exactly_and_never_converted() -> None:
    assert money(*money_tiles(Money(report(USD, margin="753.046")))) == [
        ("Revenue today", "1,234.50", "USD", ""),
        ("Margin today", "753.05", "USD", ""),
    ]
    several = money_tiles(Money(report(USD, EUR, gaps=(MarginGap.CURRENCIES_DIFFER,))))
    assert [tile.unit for tile in several] == ["USD", "EUR", ""]
    assert several[-1].note == "not stated: more than one currency"
    assert money(*money_tiles(Money(report(USD, margin="-1"))))[1] == ("Loss today", f"{MINUS}1.00", "USD", "bad")


def test_money_that_is_not_known_is_a_dash_with_its_reason() -> None:
    assert {tile.note for tile in money_tiles(None)} == {"being read"}
    assert {tile.note for tile in money_tiles(Money(None))} == {"no hour of today is settled yet"}
    unpriced = money_tiles(Money(report(USD, gaps=(MarginGap.UNPRICED_ENERGY,))))
    assert (unpriced[1].value, unpriced[1].note) == (NOTHING, "not stated: energy without a price")
