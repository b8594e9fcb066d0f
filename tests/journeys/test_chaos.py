"""A small run of `make chaos`: 20,000 events while every service is killed once. And the oracle that judges it can say no."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import oracle
from tests.chaos.bodies import FORMATS
from tests.chaos.plan import SERVICES, Plan, planned
from tests.chaos.run import Options, run

pytestmark = pytest.mark.journey
AT_MS = 1_795_000_000_000


@pytest.mark.timeout(280)
def test_every_service_is_killed_and_the_ledger_is_what_was_acknowledged(tmp_path: Path) -> None:
    options = Options(events=20_000, kills=6, seed=3, timeout_s=240)
    report = run(options, tmp_path / "var", logging.getLogger(__name__).info)
    assert report.wrong == []
    assert report.counts["kills"] == 7  # ClickHouse once more, while the spool is full
    assert {service for service in SERVICES if report.counts[f"  {service}"]} == set(SERVICES)
    assert report.counts["429 because the spool was full"] > 0
    assert report.counts["Redis files wiped"] > 0
    assert report.counts["requests acknowledged"] == report.counts["requests"]


def plan_of(events: int = 3_000) -> Plan:
    return planned(events, 6, 5, AT_MS, tuple(FORMATS))


def perfect(plan: Plan) -> dict[str, Any]:
    """What a stack would hold that took every request of the plan once."""
    totals = [[*key, *row] for key, row in oracle.expected_totals(plan.events).items()]
    stored = sum(len(job.events) for job in plan.jobs)
    identities = oracle.expected_identities(plan.events)
    rows = [[tenant, 0, count, total] for tenant, (count, total) in identities.items()]
    rows[0][1] = stored
    conflicting = sum(len(job.events) for job in plan.jobs if job.why == "conflicting")
    return {
        "ledger": totals,
        "raw": totals,
        "current": totals,
        "rollup": totals,
        "differences": [],
        "stored": rows,
        "quarantine": [[*each, 1] for each in plan.invalid.items()],
        "conflicts": [[*each, 1] for each in oracle.expected_conflicts(plan.conflicts)],
        "seals": {"events": len(plan.events), "duplicates": stored - len(plan.events), "conflicts": conflicting},
        "spool": {"incoming": 0, "ready": 0, "groups": 0, "done": 3},
    }


def test_the_oracle_accepts_what_the_plan_demands() -> None:
    plan = plan_of()
    assert oracle.differences(plan, perfect(plan), plan.sent) == []


@pytest.mark.parametrize("which", oracle.READERS)
@pytest.mark.parametrize("measure", range(2, 6))
def test_the_oracle_sees_a_single_token_too_many(which: str, measure: int) -> None:
    plan = plan_of()
    found = perfect(plan)
    found[which] = [list(row) for row in found[which]]
    found[which][7][measure] += 1
    assert len(oracle.differences(plan, found, plan.sent)) == 1


@pytest.mark.parametrize("which", ["ledger", "stored", "quarantine", "conflicts"])
def test_the_oracle_sees_what_is_missing(which: str) -> None:
    plan = plan_of(20_000)
    found = perfect(plan)
    found[which] = found[which][:-1]
    assert len(oracle.differences(plan, found, plan.sent)) == 1


def test_the_oracle_sees_a_file_that_was_left_behind() -> None:
    plan = plan_of()
    found = perfect(plan) | {"spool": {"incoming": 0, "ready": 1, "groups": 0, "done": 0}}
    assert oracle.differences(plan, found, plan.sent) == ["1 files are left in ready/"]


def test_the_same_seed_gives_the_same_bytes_in_the_same_order_and_the_same_blows() -> None:
    first, second = plan_of(), plan_of()
    assert first.blows == second.blows
    bodies = [[FORMATS[job.format].build(job.events.rows, []) for job in plan.jobs] for plan in (first, second)]
    for one, two, job in zip(*bodies, first.jobs, strict=True):
        assert one == two or FORMATS[job.format].encoding  # gzip notes the time of day
    assert planned(3_000, 6, 6, AT_MS, tuple(FORMATS)).blows != first.blows


def test_a_conflict_is_sent_only_after_its_first_and_every_event_one_to_three_times() -> None:
    plan = plan_of(20_000)
    sent: dict[tuple[Any, ...], int] = {}
    for place, job in enumerate(plan.jobs):
        assert all(earlier < place for earlier in job.waits_for)
        if job.why == "conflicting":
            first = {row[:3] for each in job.waits_for for row in plan.jobs[each].events.rows}
            assert {row[:3] for row in job.events.rows} <= first
        else:
            for row in job.events.rows:
                sent[row] = sent.get(row, 0) + 1
    assert set(sent.values()) == {1, 2, 3}
    assert len(sent) == 20_000
