import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from metering.replay.formats import FORMATS
from metering.replay.progress import Acknowledged, ReplayState
from metering.replay.run import Plan, Totals, replay
from metering.replay.sender import Sender, SendFailed
from tests.metering.replay.answers import Answers, answering
from tests.metering.replay.traces import AZURE, LENGTHS, MOONCAKE, SERVEGEN, written

REFUSED = (400, {}, {"title": "Bad Request"})


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    texts = {"azure-llm-2023": AZURE, "mooncake": MOONCAKE, "servegen": SERVEGEN}
    written(tmp_path / "x_dataset.jsonl", LENGTHS)

    def make(form: str = "azure-llm-2023", **options: Any) -> Plan:
        return Plan(FORMATS[form](written(tmp_path / "x_trace.csv", texts[form]), None), "acme", "llama", **options)

    return make


def sent(plan: Plan, server: Answers, state: ReplayState) -> Totals:
    with Sender(server.url, "k", retry_for_s=1, tell=print) as sender, tqdm(disable=True) as bar:
        return replay(plan, sender, state, bar=bar)


def state_in(folder: Path, plan: Plan) -> ReplayState:
    return ReplayState(folder, plan.state_parts("http://127.0.0.1"))


def test_events_carry_the_traces_times_and_ids_that_come_from_format_and_row(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    with answering() as server:
        totals = sent(plan(), server, state_in(tmp_path, plan()))

    (events,) = server.bodies
    assert [(event["id"], event["time"]) for event in events] == [
        ("azure-llm-2023:1", "2023-11-16T18:17:03.979Z"),
        ("azure-llm-2023:2", "2023-11-16T18:17:04.031Z"),
        ("azure-llm-2023:3", "2023-11-16T18:18:00.000Z"),
    ]
    assert {(event["tenant"], event["model"]) for event in events} == {("acme", "llama")}
    assert not any(name.endswith("_ms") for event in events for name in event)
    assert totals.line() == "requests=3 input_tokens=8098 output_tokens=18 cached_input_tokens=0 accepted=3 rejected=0"


def test_a_second_replay_sends_the_same_bytes(plan: Callable[..., Plan], tmp_path: Path) -> None:
    with answering() as server:
        for _ in range(2):
            sent(plan("servegen"), server, state_in(tmp_path, plan("servegen")))

    first, second = server.bodies
    assert first == second


def test_two_files_of_one_format_do_not_share_identities(tmp_path: Path) -> None:
    one = Plan(FORMATS["azure-llm-2023"](written(tmp_path / "1.csv", AZURE), None), "acme", "llama")
    two = Plan(
        FORMATS["azure-llm-2023"](written(tmp_path / "2.csv", AZURE + "2023-11-16 19:00:00,1,1\n"), None),
        "acme",
        "llama",
    )

    assert one.source != two.source


def test_a_trace_without_dates_counts_from_2026_unless_a_start_is_given(plan: Callable[..., Plan]) -> None:
    late = plan("mooncake", start=datetime(2026, 5, 1, 6, tzinfo=UTC))

    assert [plan("mooncake").event(request)["time"] for request in plan("mooncake").requests()][
        -1
    ] == "2026-01-01T00:00:03.000Z"
    assert [late.event(request)["time"] for request in late.requests()][-1] == "2026-05-01T06:00:03.000Z"


def test_what_was_derived_is_labelled_as_modelled(plan: Callable[..., Plan]) -> None:
    labels = {form: plan(form).event(next(iter(plan(form).requests())))["attributes"] for form in FORMATS}

    assert labels["azure-llm-2023"] == {"trace": "azure-llm-2023"}
    assert labels["mooncake"]["modelled"] == "cached_input_tokens"
    assert "output_tokens" in labels["servegen"]["modelled"]


def test_servegens_clients_are_tenants(plan: Callable[..., Plan]) -> None:
    servegen = plan("servegen")

    assert servegen.tenants() == ["acme-0", "acme-4"]
    assert {servegen.event(request)["tenant"] for request in servegen.requests()} == {"acme-0", "acme-4"}


def test_limit_and_duration_take_the_beginning_of_the_trace(plan: Callable[..., Plan]) -> None:
    assert [request.row for request in plan(limit=2).requests()] == ["1", "2"]
    assert [request.row for request in plan(duration_s=56).requests()] == ["1", "2"]
    assert {request.offset_ms // 600_000 for request in plan("servegen", duration_s=600).requests()} == {0}


def test_an_unfinished_replay_goes_on_after_the_last_acknowledged_row(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.replay.run.BATCH_EVENTS", 1)
    state = state_in(tmp_path, plan())
    first = (202, {}, {"batch": "b", "accepted": 1, "rejected": []})
    with answering(first, REFUSED) as server:
        with pytest.raises(SendFailed):
            sent(plan(), server, state)
        assert state.read() == Acknowledged(1, 1, 0)
        totals = sent(plan(), server, state)

    assert [event["id"] for body in server.bodies[2:] for event in body] == ["azure-llm-2023:2", "azure-llm-2023:3"]
    assert (totals.requests, totals.accepted, totals.input_tokens) == (3, 3, 8098)


def test_a_finished_replay_is_sent_whole_when_it_is_asked_for_again(plan: Callable[..., Plan], tmp_path: Path) -> None:
    state = state_in(tmp_path, plan())
    with answering() as server:
        sent(plan(), server, state)
        sent(plan(), server, state)

    assert [len(body) for body in server.bodies] == [3, 3]


def test_another_target_tenant_or_start_is_another_replay(plan: Callable[..., Plan], tmp_path: Path) -> None:
    state_in(tmp_path, plan()).write(Acknowledged(2, 2, 0))

    assert state_in(tmp_path, plan(start=datetime(2026, 1, 1, tzinfo=UTC))).read().rows == 0
    assert ReplayState(tmp_path, plan().state_parts("http://elsewhere")).read().rows == 0
    assert state_in(tmp_path, plan()).read().rows == 2


def test_a_damaged_state_file_costs_time_only(plan: Callable[..., Plan], tmp_path: Path) -> None:
    state = state_in(tmp_path, plan())
    state.write(Acknowledged(2, 2, 0))
    state.path.write_text('{"rows": 2, "acc')

    assert state.read() == Acknowledged()


def test_rejected_events_are_counted_and_named_by_their_row(plan: Callable[..., Plan], tmp_path: Path) -> None:
    reject = {"index": 1, "field": "time", "reason": "too_old", "message": "is too long ago"}
    with answering((202, {}, {"batch": "b", "accepted": 2, "rejected": [reject]})) as server:
        totals = sent(plan(), server, state_in(tmp_path, plan()))

    assert (totals.accepted, totals.rejected) == (2, 1)
    assert totals.first_rejects == ["row 2 of azure-llm-2023: time: too_old: is too long ago"]


def test_at_a_speed_the_trace_takes_its_own_time_divided_by_it(plan: Callable[..., Plan], tmp_path: Path) -> None:
    with answering() as server:
        begun = time.monotonic()
        sent(plan(speed=56.021), server, state_in(tmp_path, plan()))

    assert 1 <= time.monotonic() - begun < 30
    assert [len(body) for body in server.bodies] == [2, 1]
