"""Which workloads to move or pause: those that may wait first, few of them, and to where there is room."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.clickhouse import client
from metering.models import TelemetryProgress
from metering.telemetry.energy.conservation import energy_conservation
from metering.telemetry.energy.shifting import ClusterPower, Workload, plan, power_shift
from tests.billing.energy import attributed, nobodys, settle
from tests.metering.rows import empty_tables

NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)


def load(tenant: str, tier: str, frees_w: float, model: str = "m") -> Workload:
    return Workload(tenant, model, tier, frees_w + 50, frees_w, 1)


def names(*loads: Workload, needed_w: float) -> list[str]:
    return [step.workload.tenant for step in plan(loads, needed_w, [], {})]


def test_tiers_that_may_wait_go_first_and_priority_last() -> None:
    loads = [load("p", "priority", 900), load("s", "standard", 900), load("b", "batch", 100), load("f", "flex", 50)]
    assert names(*loads, needed_w=2000) == ["b", "f", "s", "p"]


def test_one_that_is_enough_by_itself_is_the_smallest_such() -> None:
    loads = [load("a", "batch", 1000), load("b", "batch", 300), load("c", "batch", 200)]
    assert names(*loads, needed_w=250) == ["b"]
    assert names(*loads, needed_w=1150) == ["a", "c"]


def test_nothing_is_chosen_that_frees_nothing_or_is_not_needed() -> None:
    assert names(load("a", "batch", 0), needed_w=10) == []
    assert names(load("a", "batch", 10), needed_w=0) == []


def test_it_moves_to_the_cluster_with_most_room_that_serves_the_model_until_that_is_full() -> None:
    others = [
        ClusterPower("full", 8, 1000, 1000),
        ClusterPower("roomy", 8, 1000, 2000),
        ClusterPower("other", 8, 0, 9000),
    ]
    serving = {"m": {"here", "full", "roomy"}}
    steps = plan([load("a", "batch", 700), load("b", "batch", 600)], 1300, others, serving)
    assert [(step.workload.tenant, step.moves_to, step.room_w) for step in steps] == [
        ("a", "roomy", 1000),
        ("b", "", 0),
    ]


@pytest.mark.usefixtures("clickhouse", "db")
class TestFromTheTables:
    @pytest.fixture(autouse=True)
    def cluster(self, clickhouse: None, db: None) -> None:
        """An hour in which two customers had 3 kWh on 4 GPUs of cluster c that draw 100 W at rest."""
        empty_tables("energy_windows", "energy_hours", "energy_attributed_hours")
        attributed(HOUR, "acme", kwh="2", gpu_hours="3", tier="standard")
        attributed(HOUR, "globex", kwh="1", gpu_hours="1", tier="batch")
        attributed(HOUR, "else", kwh="9", gpu_hours="1", node="n2")
        nobodys(HOUR, cluster="c", counter_nkwh="3.5", attributed_nkwh="3", idle_nkwh="0.4", gap_nkwh="0.1", gpu_nh="4")
        nobodys(HOUR, cluster="d", node="n2", gpu_nh="4")
        window = {
            "window_start": HOUR,
            "node": "n1",
            "engine": "e1",
            "cluster": "c",
            "gpu_s": 60.0,
            "idle_power_w": 100.0,
        }
        client.insert("test", "energy_windows", list(window), [[value] for value in window.values()])
        settle(HOUR + timedelta(hours=1))

    def test_what_a_workload_frees_is_its_power_less_what_its_gpus_draw_at_rest(self) -> None:
        clusters = [ClusterPower("c", 4, 3500, 4000), ClusterPower("d", 4, 1000, 9000)]
        found = power_shift(NOW, "c", 2600, clusters)
        assert found is not None
        assert [(step.workload.tenant, step.workload.frees_w, step.moves_to) for step in found.steps] == [
            ("globex", 900, "d")
        ]
        assert (found.needed_w, found.freed_w, found.left_w, found.enough) == (900, 900, 2600, True)
        assert (found.idle_w, found.workloads, found.hour) == (100, 2, HOUR)

    def test_below_the_cap_nothing_is_read_and_nothing_has_to_go(self) -> None:
        found = power_shift(NOW, "c", None, [ClusterPower("c", 4, 3500, 4000)])
        assert found is not None
        assert (found.cap_w, found.needed_w, found.steps) == (4000, 0, ())

    def test_when_all_of_them_are_not_enough_it_says_what_is_missing(self) -> None:
        found = power_shift(NOW, "c", 100, [ClusterPower("c", 4, 3500, 4000)])
        assert found is not None
        assert ([step.workload.tenant for step in found.steps], found.enough, found.left_w) == (
            ["globex", "acme"],
            False,
            900,
        )

    def test_a_cluster_that_nobody_heard_of_or_without_a_cap_has_no_plan(self) -> None:
        assert power_shift(NOW, "x", 100, [ClusterPower("c", 4, 3500, 4000)]) is None
        assert power_shift(NOW, "c", None, [ClusterPower("c", 4, 3500, None)]) is None

    def test_before_the_first_settled_hour_there_are_no_workloads(self) -> None:
        TelemetryProgress.objects.all().delete()
        found = power_shift(NOW, "c", 100, [ClusterPower("c", 4, 3500, 4000)])
        assert found is not None
        assert (found.hour, found.steps, found.needed_w) == (None, (), 3400)

    def test_the_counters_are_the_sum_of_their_parts(self) -> None:
        found = energy_conservation(HOUR, HOUR + timedelta(hours=1), {"cluster": "c"})
        assert (found.counters, found.attributed, found.nobodys["idle"]) == (Decimal("3.5"), 3, Decimal("0.4"))
        assert (found.difference, found.engine_hours) == (0, 1)
