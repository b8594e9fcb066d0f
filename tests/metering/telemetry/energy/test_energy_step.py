"""The energy step against a real ClickHouse: samples and requests in, rows of energy out. Each test has a node of its own."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from metering.clickhouse import client
from metering.telemetry.energy import blocks, reading, writing
from metering.telemetry.energy.arrays import Floats
from metering.telemetry.energy.timing import GroupTime, Split
from tests.metering.telemetry.energy.hand import Request, placed
from tests.metering.telemetry.energy.scene import Scene

pytestmark = pytest.mark.usefixtures("clickhouse", "db")


@pytest.fixture
def scene(tenant_key: str) -> Scene:
    return Scene(tenant_key)


def a_busy_minute(scene: Scene) -> None:
    """Three minutes of a GPU at 100 W, but 500 W in the second, which one request has to itself."""
    scene.gpu(*((at, 100.0 * at + 400.0 * min(max(at - 60, 0), 60), None) for at in range(0, 190, 10)))
    scene.quiet_engine(180)
    scene.request(119.5, 59.5, input_tokens=100, output_tokens=10, ttft_ms=1000.0)


def test_a_request_that_has_a_minute_to_itself_gets_its_energy_and_the_rest_is_idle(scene: Scene) -> None:
    a_busy_minute(scene)
    rows = scene.windows(3)
    assert [row["counter_j"] for row in rows] == pytest.approx([6000, 30_000, 6000])
    assert [row["idle_j"] for row in rows] == pytest.approx([6000, 50, 6000])
    assert [row["attributed_j"] for row in rows] == pytest.approx([0, 29_950, 0])
    assert max(row["conservation_error"] for row in rows) < 1e-12
    (own,) = scene.attributed()
    assert (own["tenant"], own["requests"], own["tier"]) == (scene.tenant, 1, "standard")
    assert (own["energy_j"], own["gpu_s"]) == (pytest.approx(29_950), pytest.approx(59.5))


def test_rows_say_where_and_on_what_it_ran_and_that_it_is_simulated(scene: Scene) -> None:
    place: dict[str, Any] = {"region": "eu", "cluster": "c", "simulated": True}
    scene.steady_gpu(120, 100, name="NVIDIA H100", **place)
    scene.quiet_engine(120, model="llama", **place)
    scene.request(30, 10)
    row, _ = scene.windows(2)
    assert (row["region"], row["cluster"], row["model"], row["product"]) == ("eu", "c", "llama", "NVIDIA H100")
    assert (row["simulated"], row["gpus"]) == (True, ["GPU-0"])
    (own,) = scene.attributed()
    assert (own["region"], own["product"], own["model"], own["simulated"]) == ("eu", "NVIDIA H100", "m", True)


def test_requests_are_placed_in_minutes_as_if_one_by_one(scene: Scene) -> None:
    """Every kind of latencies that an event may have, against a loop over requests and minutes."""
    scene.steady_gpu(240, 300, begin=-20)
    scene.quiet_engine(240, begin=-20)
    cases: list[tuple[float, dict[str, Any], Request]] = [
        (95, {"e2e_ms": 50_000, "queue_ms": 5000, "ttft_ms": 20_000}, Request(95, 50, 65)),
        (130, {"e2e_ms": 125_000, "ttft_ms": 61_000}, Request(130, 5, 66)),
        (70.25, {}, Request(70.25, 70.25, 70.25)),
        (80, {"ttft_ms": 3000}, Request(80, 80, 80)),
        (100, {"e2e_ms": 40_000}, Request(100, 60, 60)),
        (110, {"e2e_ms": 40_000, "tpot_ms": 1000}, Request(110, 70, 110 - 9)),
        (115, {"e2e_ms": 1000, "queue_ms": 7000, "ttft_ms": 9000}, Request(115, 115, 115)),
        (60, {"e2e_ms": 30_000, "ttft_ms": 500}, Request(60, 30, 30.5)),
        (150, {"e2e_ms": 300_000, "ttft_ms": 400, "status": "cancelled"}, Request(150, -150, -149.6)),
        (400, {"e2e_ms": 300_000, "ttft_ms": 100_000}, Request(400, 100, 200)),
        (90, {"e2e_ms": 70_000, "status": "error", "input_tokens": 0, "output_tokens": 0}, Request(90, 90, 90, 0, 0)),
        (118, {"e2e_ms": 10_000, "cached_input_tokens": 100}, Request(118, 108, 108, prefill=0)),
    ]
    for end, columns, _ in cases:
        scene.request(end, **columns)
    writing.write(scene.span(3))
    expected = placed([request for _, _, request in cases], 3)
    rows = scene.attributed()
    assert [row["prefill_tokens"] for row in rows] == pytest.approx([one["prefill"] for one in expected])
    assert [row["decode_tokens"] for row in rows] == pytest.approx([one["decode"] for one in expected])
    assert [row["requests"] for row in rows] == [one["requests"] for one in expected]


def test_tiers_and_models_of_a_tenant_are_rows_of_their_own(scene: Scene) -> None:
    scene.steady_gpu(60, 300)
    scene.quiet_engine(60)
    for tier, model in (("standard", "m"), ("batch", "m"), ("standard", "lora")):
        scene.request(40, 30, tier=tier, model=model, id=f"{tier}-{model}")
    scene.windows(1)
    found = {(row["tier"], row["model"]): row["energy_j"] for row in scene.attributed()}
    assert len(found) == 3
    assert len({round(joules, 6) for joules in found.values()}) == 1


def test_a_duplicate_counts_once_and_the_first_that_came(scene: Scene) -> None:
    scene.steady_gpu(60, 300)
    scene.quiet_engine(60)
    scene.request(40, 30, id="same", output_tokens=10, ingested_at=scene.at(42))
    scene.request(41, 30, id="same", output_tokens=999, ingested_at=scene.at(43))
    scene.request(42, 30, id="same", source="other", output_tokens=7)
    scene.windows(1)
    (row,) = scene.attributed()
    assert (row["requests"], row["decode_tokens"]) == (2, pytest.approx(17))


def test_what_came_by_an_observing_key_or_names_no_engine_is_not_work(scene: Scene) -> None:
    scene.steady_gpu(60, 300)
    scene.quiet_engine(60)
    scene.request(40, 30, observed=True)
    scene.request(41, 30, engine="")
    scene.request(42, 30, engine="unknown")
    (row,) = scene.windows(1)
    assert scene.attributed() == []
    assert row["idle_j"] == pytest.approx(row["counter_j"])


def test_a_sample_that_was_sent_twice_counts_once_and_mig_instances_have_no_energy(scene: Scene) -> None:
    scene.steady_gpu(60, 300)
    scene.steady_gpu(60, 300)
    scene.gpu(*((at, None, None) for at in range(0, 70, 10)), mig="1/0")
    scene.quiet_engine(60)
    (row,) = scene.windows(1)
    assert (row["counter_j"], row["gpu_s"], row["gpus"]) == (pytest.approx(18_000), pytest.approx(60), ["GPU-0"])


def test_an_engine_that_does_not_answer_for_a_while_keeps_its_gpus(scene: Scene) -> None:
    scene.steady_gpu(180, 300)
    scene.quiet_engine(30)
    scene.request(110, 40)
    rows = scene.windows(3)
    assert [row["engine"] for row in rows] == ["e0", "e0", "e0"]
    assert rows[1]["attributed_j"] > 0
    assert [row["engine_gap_s"] for row in rows] == pytest.approx([30, 60, 60])


def test_an_engine_that_says_it_is_down_claims_its_gpus_and_counts_nothing(scene: Scene) -> None:
    scene.steady_gpu(60, 300)
    scene.engine(*((at, {"up": False, "prompt_tokens": None}) for at in range(0, 70, 10)))
    (row,) = scene.windows(1)
    assert (row["engine"], row["engine_gap_s"], row["idle_j"]) == ("e0", 60, pytest.approx(18_000))


def test_a_gap_of_two_hours_is_unattributed_in_each_of_its_windows(scene: Scene) -> None:
    scene.gpu((-3600, 0.0, None), (3600, 7200 * 250.0, None))
    writing.write(scene.span(2))
    rows = scene.windows()
    assert [(row["engine"], row["gap_s"]) for row in rows] == [("", 60), ("", 60)]
    assert [row["unattributed_gap_j"] for row in rows] == pytest.approx([15_000, 15_000])


def test_computing_a_span_again_gives_the_same_rows(scene: Scene) -> None:
    a_busy_minute(scene)
    first, own = scene.windows(3), scene.attributed()
    second = scene.windows(3)
    assert [{**row, "version": 0} for row in first] == [{**row, "version": 0} for row in second]
    assert [{**row, "version": 0} for row in own] == [{**row, "version": 0} for row in scene.attributed()]
    assert second[0]["version"] > first[0]["version"]


def test_minutes_come_out_the_same_one_by_one_as_together(scene: Scene) -> None:
    a_busy_minute(scene)
    together = scene.windows(3)
    for minute in range(3):
        writing.write(scene.span(1, minute))
    for one, other in zip(together, scene.windows(), strict=True):
        for name, value in one.items():
            if name != "version":
                assert other[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_a_late_event_takes_its_energy_from_what_had_no_event(scene: Scene) -> None:
    scene.steady_gpu(600, 500, begin=-600)
    served = {"prompt_tokens": 100, "generation_tokens": 10}
    scene.engine(*((at, served if at > 90 else {}) for at in range(-600, 610, 10)), running=1.0)
    before = scene.windows(2)
    assert before[1]["unattributed_no_event_j"] == pytest.approx(30_000)
    scene.request(90, 30, ttft_ms=1000.0)
    after = scene.windows(2)
    assert after[1]["unattributed_no_event_j"] == pytest.approx(0, abs=1e-6)
    assert after[1]["attributed_j"] == pytest.approx(30_000)


def test_rows_that_vanish_become_zero(scene: Scene) -> None:
    a_busy_minute(scene)
    scene.windows(3)
    client.statement(
        "test_delete",
        "ALTER TABLE requests DELETE WHERE tenant = %(tenant)s SETTINGS mutations_sync = 1",
        {"tenant": scene.tenant},
    )
    client.statement(
        "test_delete",
        "ALTER TABLE gpu_samples DELETE WHERE node = %(node)s SETTINGS mutations_sync = 1",
        {"node": scene.node},
    )
    client.statement(
        "test_delete",
        "ALTER TABLE engine_samples DELETE WHERE node = %(node)s SETTINGS mutations_sync = 1",
        {"node": scene.node},
    )
    rows = scene.windows(3)
    assert [(row["counter_j"], row["gpu_s"], row["engine_gap_s"]) for row in rows] == [(0, 0, 60)] * 3
    (own,) = scene.attributed()
    assert (own["energy_j"], own["requests"], own["tenant"]) == (0, 0, scene.tenant)


def test_hours_add_up_their_minutes_and_follow_when_one_changes(scene: Scene) -> None:
    a_busy_minute(scene)
    writing.write(scene.span(3))
    hours = (
        "SELECT counter_nkwh, idle_nkwh, attributed_nkwh, gpu_nh, windows FROM energy_hours FINAL WHERE node = %(node)s"
    )
    tenants = "SELECT energy_nkwh, requests FROM energy_attributed_hours FINAL WHERE node = %(node)s"
    joule = 1e9 / 3.6e6
    ((counter, idle, attributed, gpu, windows),) = client.statement("test_read", hours, {"node": scene.node})
    assert (counter, windows) == (round(42_000 * joule), 3)
    assert (idle, attributed) == (round(12_050 * joule), round(29_950 * joule))
    assert gpu == round(180 / 3600 * 1e9)
    assert client.statement("test_read", tenants, {"node": scene.node}) == [(attributed, 1)]
    scene.request(118, 58, id="late", tier="batch")
    writing.write(scene.span(1, 1))
    ((counter, *_),) = client.statement("test_read", hours, {"node": scene.node})
    assert counter == round(42_000 * joule)
    assert sum(requests for _, requests in client.statement("test_read", tenants, {"node": scene.node})) == 2


def test_nodes_are_worked_up_in_shares_and_come_out_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    a_busy_minute(scene)
    other = Scene(scene.tenant)
    a_busy_minute(other)
    monkeypatch.setattr(reading, "MOST_REQUESTS", 1)
    shares = reading.shares_of_nodes(scene.span(3), writing.look())
    assert not [share for share in shares if {scene.node, other.node} <= set(share)]
    assert [row["counter_j"] for row in scene.windows(3)] == pytest.approx([6000, 30_000, 6000])
    assert [row["counter_j"] for row in other.windows()] == pytest.approx([6000, 30_000, 6000])


def test_idle_power_is_remembered_from_the_hours_before(scene: Scene) -> None:
    scene.steady_gpu(-3000, 70, begin=-3600)
    scene.quiet_engine(-3000, begin=-3600)
    writing.write(scene.span(10, -60))
    scene.steady_gpu(60, 400, begin=-30)
    scene.quiet_engine(60, begin=-30)
    scene.request(24, 8)
    scene.request(34, 9)
    for at in range(-8, 70, 10):
        scene.request(at + 9, 9, id=f"r{at}")
    (row,) = (row for row in scene.windows(1) if row["window_start"] == scene.start)
    assert row["idle_power_measured"]
    assert row["idle_power_w"] == pytest.approx(70)


def test_a_window_that_is_not_conserved_is_said_and_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    a_busy_minute(scene)
    right = blocks.split

    def wrong(time: GroupTime, idle_power_w: Floats) -> Split:
        found = right(time, idle_power_w)
        return Split(found.idle_j * 1.01, found.busy_j)

    monkeypatch.setattr(blocks, "split", wrong)
    with caplog.at_level(logging.ERROR, logger=writing.__name__):
        rows = scene.windows(3)
    assert [row["conservation_error"] for row in rows] == pytest.approx([0.01, 0.5 / 30_000, 0.01], abs=1e-9)
    messages = [message for message in caplog.messages if scene.node in message]
    assert len(messages) == 1
    assert "3 windows" in messages[0]
    assert "0.01" in messages[0]


def test_a_window_that_is_conserved_is_not_mentioned(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    a_busy_minute(scene)
    scene.windows(3)
    assert not [message for message in caplog.messages if scene.node in message]


def test_a_surplus_has_time_to_be_made_good_and_events_to_arrive(settings: Any) -> None:
    settings.ENERGY_SETTLE = timedelta(seconds=600)
    assert writing.look() == 4
    assert writing.reach() == timedelta(minutes=8)
    settings.ENERGY_SETTLE = timedelta(seconds=300)
    assert writing.reach() < settings.ENERGY_SETTLE
