"""The script: what it may say, what is refused, and that a change is undone at its end."""

import json
from pathlib import Path

import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.script import Change, ScriptError, parse_script, read_script
from tests.metering.simulator.plans import (
    LARGE,
    MINUTE_MS,
    NODE,
    SMALL,
    SMALL_NAME,
    START_MS,
    mixed_plan,
    ran,
    seconds_per_token,
    served,
)


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(
        json.dumps(
            [
                {"kind": "power_cap", "target": NODE, "value": 350, "start_s": 60, "end_s": 120},
                {"kind": "aborted", "value": 0.1, "start_s": 0, "end_s": 10},
            ]
        )
    )

    assert read_script(path) == (Change("power_cap", NODE, 60, 120, 350), Change("aborted", "*", 0, 10, 0.1))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"kind": "power_cap"}, "a script is a list"),
        ([{"kind": "power_cut", "target": "n", "start_s": 0, "end_s": 1}], "kind 'power_cut'"),
        ([{"kind": "power_cap", "target": "n", "start_s": 5, "end_s": 5, "value": 300}], "start_s < end_s"),
        ([{"kind": "power_cap", "target": "n", "start_s": 0, "end_s": 5}], "watts"),
        ([{"kind": "power_cap", "target": "n", "start_s": 0}], "end_s is missing"),
        ([{"kind": "node_lost", "start_s": "soon", "end_s": 5}], "change 1"),
        ([{"kind": "node_lost", "target": "n", "start_s": 0, "end_s": 5, "watts": 3}], "unknown field 'watts'"),
        ([{"kind": "aborted", "start_s": 0, "end_s": 5, "value": 2}], "a share"),
        (["power_cap"], "expected an object"),
    ],
)
def test_what_makes_no_sense_is_refused(written: object, says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        parse_script(written)


def test_a_file_that_is_no_json_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text("{")

    with pytest.raises(ScriptError, match=r"script\.json"):
        read_script(tmp_path / "script.json")


def test_a_target_that_is_not_there_is_refused() -> None:
    with pytest.raises(ScriptError, match="no node 'elsewhere'"):
        mixed_plan(changes=(Change("node_lost", "elsewhere", 0, 1),))


def test_a_change_is_undone_at_its_end() -> None:
    changes = (
        Change("kv_capacity", f"{NODE}/{SMALL_NAME}", 60, 120, 0.5),
        Change("power_cap", "*", 60, 120, 400),
        Change("max_sequences", "llama-3.1-8b", 60, 180, 3),
    )
    fleet = Fleet(mixed_plan(changes=changes))
    full = float(fleet.limits.kv_tokens[SMALL])
    told = []
    for minute in (0.5, 1.5, 2.5, 3.5):
        fleet.step(START_MS + round(minute * MINUTE_MS))
        limits = fleet.limits
        told.append((limits.kv_tokens[SMALL] / full, limits.power_cap_w[SMALL], limits.max_sequences[SMALL]))

    assert told == [(1, 700, 256), (0.5, 400, 3), (1, 700, 3), (1, 700, 256)]


def test_a_bad_deploy_slows_every_step_of_its_model() -> None:
    change = Change("model_slowed", "llama-3.1-8b", 0, 10_000, 2)
    usual, slow = (ran(mixed_plan(changes=changes), 6)[1] for changes in ((), (change,)))

    assert seconds_per_token(served(slow, SMALL)) > 1.9 * seconds_per_token(served(usual, SMALL))
    assert seconds_per_token(served(slow, LARGE)) == pytest.approx(seconds_per_token(served(usual, LARGE)), rel=0.1)
