"""Events of simulated requests are what the client and the server take, and say that they are simulated."""

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from metering.simulator.events import Events
from metering.simulator.pool import ABORTED
from tallywatt.events import checked
from tests.metering.simulator.plans import NODE, START_MS, mixed_plan, ran


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    fleet, finished = ran(mixed_plan(), 8)
    made = list(Events(fleet).of(finished))
    assert len(made) == (finished.rows[ABORTED] == 0).sum()
    return made


def test_each_passes_the_clients_checks(events: list[dict[str, Any]]) -> None:
    for event in events:
        checked(event | {"time": datetime.fromisoformat(event["time"])})


def test_each_says_that_it_is_simulated_and_has_an_identity_of_its_own(events: list[dict[str, Any]]) -> None:
    assert {event["attributes"]["simulated"] for event in events} == {"true"}
    assert len({(event["tenant"], event["source"], event["id"]) for event in events}) == len(events)


def test_times_and_latencies_fit_each_other(events: list[dict[str, Any]]) -> None:
    times = [datetime.fromisoformat(event["time"]).timestamp() for event in events]
    assert times == sorted(times)
    assert START_MS / 1000 <= times[0] <= times[-1] <= START_MS / 1000 + 480
    for event in events:
        if "ttft_ms" in event:
            assert 0 <= event["queue_ms"] <= event["ttft_ms"] <= event["e2e_ms"]
            decode_ms = event.get("tpot_ms", 0) * (event["output_tokens"] - 1)
            assert max(decode_ms, 0) == pytest.approx(event["e2e_ms"] - event["ttft_ms"], abs=10)


def test_statuses_are_those_of_the_plan(events: list[dict[str, Any]]) -> None:
    counts = Counter(event["status"] for event in events)

    assert counts["error"] / len(events) == pytest.approx(0.01, abs=0.008)
    assert counts["cancelled"] / len(events) == pytest.approx(0.03, abs=0.015)
    for event in events:
        if event["status"] == "error":
            assert (event["input_tokens"], event["output_tokens"], "node" in event) == (0, 0, False)
        else:
            assert event["node"] == NODE
            assert event["gpus"]


def test_an_embedding_has_no_output(events: list[dict[str, Any]]) -> None:
    made = [event for event in events if event["operation"] == "embedding" and event["status"] == "ok"]

    assert made
    assert {(event["model"], event["output_tokens"], event["stream"]) for event in made} == {("bge-m3", 0, False)}


def test_tiers_and_projects_of_a_tenant_are_told(events: list[dict[str, Any]]) -> None:
    bursty = [event for event in events if event["tenant"] == "bursty"]

    assert {event["tier"] for event in bursty} == {"priority", "standard"}
    assert {event["project"] for event in bursty} == {"a", "b"}
