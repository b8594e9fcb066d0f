"""What rules watch: every measure is read by each of its dimensions, and says what was put there."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.alerts import values
from metering.alerts.catalogue import CATALOGUE
from metering.alerts.readings.asked import NotRead, Values
from metering.alerts.wording import amount, in_words
from metering.models import AlertRule, IngestHost, TelemetryProgress
from metering.objectives import counting
from metering.objectives.definitions import set_objective
from metering.telemetry import rollups
from metering.telemetry.processing import STEPS
from metering.telemetry.spans import Span, minute_of
from tests.metering.alerts.alert_rows import HOUR, MINUTE, NOW, empty, requests, rule
from tests.metering.rows import insert_requests, settled
from tests.metering.telemetry.sample_rows import insert_engines, insert_gpus, own_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty()


def now_of(measure: str, now: datetime, **fields: Any) -> Values:
    made = AlertRule(name="r", measure=measure, threshold=1.0, **fields)
    return values.Readings(now).of(made)


@pytest.mark.parametrize("key", CATALOGUE)
def test_every_measure_can_be_read_for_each_of_its_dimensions(key: str) -> None:
    found = CATALOGUE[key]
    for group in ("", *found.dimensions):
        made = AlertRule(name="r", measure=key, kind=found.kinds[0], threshold=1.0, group_by=group)
        now = datetime.now(UTC)
        read = values.Readings(now).of(made)
        assert all(value is None or value >= 0 for value in read.values())
        assert isinstance(values.history(made, now - HOUR, now, 5 * MINUTE), dict)
        assert found.label in in_words(made)


def test_rates_and_shares_of_requests_are_those_of_the_last_minute_and_five() -> None:
    requests(NOW - MINUTE, "m", count=6)
    requests(NOW - 3 * MINUTE, "m", count=2, status="error")
    assert now_of("requests_per_s", NOW)[""] == pytest.approx(6 / 60)
    assert now_of("output_tokens_per_s", NOW, group_by="model")["m"] == pytest.approx(60 / 60)
    assert now_of("error_ratio", NOW, group_by="tenant")["t"] == pytest.approx(0.25)


def test_a_node_whose_gpus_went_silent_is_counted_and_the_others_are_nought() -> None:
    here, gone = own_node(), own_node()
    now = datetime.now(UTC)
    insert_gpus(here, {"time": now})
    insert_gpus(gone, {"time": now - 5 * HOUR, "power_w": 300.0})
    start = minute_of(now - 5 * HOUR)
    rollups.write(Span(start, start + 2 * MINUTE))
    found = now_of("gpus_gone", now, group_by="node")
    assert found[here] == 0.0
    assert found[gone] == 1.0


def test_the_fleet_is_read_up_to_the_minute_that_is_worked_up() -> None:
    TelemetryProgress.objects.create(name=STEPS[0].name, watermark=NOW, closed_until=NOW - 11 * MINUTE)
    with pytest.raises(NotRead, match="worked up only until 12:19"):
        now_of("power_w", NOW)


def test_engines_of_one_name_on_two_nodes_are_two_groups() -> None:
    first, second = own_node(), own_node()
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for node in (first, second):
        insert_engines(node, *({"time": now - 2 * MINUTE + n * timedelta(seconds=10), "waiting": 4} for n in range(12)))
    rollups.write(Span(now - 2 * MINUTE, now))
    found = now_of("waiting", now, group_by="engine")
    assert {f"{first}/e0", f"{second}/e0"} <= set(found)


def test_a_burn_rate_is_the_lower_of_two_windows_now_and_in_the_past() -> None:
    now = datetime.now(UTC).replace(second=40, microsecond=0) - MINUTE
    set_objective("fast", measure="ttft_ms", threshold_ms=Decimal(500), target=Decimal("0.9"), window_days=7)
    floor = now.replace(second=0)
    rows = [
        {
            "id": f"{back}-{n}",
            "time": floor - back * MINUTE,
            "ingested_at": floor - back * MINUTE,
            "model": "m",
            # Bad for half an hour, an hour ago; good since.
            "ttft_ms": 900.0 if 60 <= back < 90 else 100.0,
        }
        for back in range(1, 150)
        for n in range(2)
    ]
    insert_requests("burn", *rows)
    settled(now)
    for _ in range(5):
        counting.run(now, budget_s=60)
    made = AlertRule(name="r", measure="budget_burn", kind="burn", window="1h", threshold=3.0, group_by="objective")
    assert values.Readings(now).of(made)["fast"] == pytest.approx(0.0, abs=0.01)
    past = dict(values.history(made, now - 2 * HOUR, now, 5 * MINUTE)["fast"])
    highest = max(value for value in past.values() if value is not None)
    # At the end of that half hour: all of the last five minutes bad, and half of the last hour; of one in ten that may be.
    assert highest == pytest.approx(5.0, rel=0.15)
    spans, _ = values.would_have_fired(made, now - 2 * HOUR, now)
    assert len(spans["fast"]) == 1


def test_the_intake_is_read_by_host() -> None:
    IngestHost.objects.all().delete()
    now = datetime.now(UTC)
    for name, pending, published in (("a", 700, now), ("b", 100, now - HOUR)):
        IngestHost.objects.create(
            name=name,
            settled_before=now,
            published_at=published,
            pending_bytes=pending,
            spool_max_bytes=1000,
        )
    assert now_of("spool_bytes", now)[""] == 800
    assert now_of("spool_fill", now, group_by="host") == {"a": 0.7, "b": 0.1}
    assert now_of("hosts_silent", now)[""] == 1
    assert now_of("servers_down", now, group_by="server") == {"postgresql": 0.0, "redis": 0.0, "clickhouse": 0.0}


def test_rules_that_ask_for_the_same_are_answered_by_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = values.Readings(NOW)
    asked: list[object] = []

    def newest(*args: object) -> Values:
        asked.append(args)
        return {}

    monkeypatch.setattr(values, "_newest", newest)
    readings.of(rule(name="a", threshold=1.0))
    readings.of(rule(name="b", threshold=2.0))
    readings.of(rule(name="c", group_by="tenant"))
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("ttft_p95_ms", 1204.0, "1,204 ms"),
        ("error_ratio", 0.0512, "5.12 %"),
        ("seal_age_s", 7200.0, "2 h"),
        ("event_age_s", 100.0, "100 s"),
        ("event_age_s", 180.0, "3 min"),
        ("spool_bytes", 12_400_000.0, "12.4 MB"),
        ("power_w", 54_300.0, "54.3 kW"),
        ("requests_per_s", None, "\N{EN DASH}"),
    ],
)
def test_values_are_written_with_a_unit_that_fits(measure: str, value: float | None, text: str) -> None:
    assert amount(AlertRule(measure=measure), value) == text
