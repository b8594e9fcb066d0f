"""`make incidents`: every incident after an hour of calm, with several seeds, and half hours of calm in which nothing may be found.

Not part of the suite: run as `pytest -s tests/incidents/whole.py`. SEEDS=1,2 and INCIDENTS=a,b (parts of names) narrow it.
"""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from dashboard.operator.state import findings
from metering.ingest import drain
from tests.incidents.playing import Play, lately, plan
from tests.incidents.scripts import INCIDENTS, Incident
from tests.incidents.watching import Watched, signals, watch

AT_S = 60 * 60 + 20
LOOKS_S = (*range(-600, 0, 120), *range(0, 121, 20), 180, 240, 300)
WITHIN_S = 60
CALM_FROM_S, CALM_TO_S = 50 * 60, 80 * 60
AHEAD_S = 8 * 60  # of the clock, at the end: no sample is older than the half hour that is read as the present
SEEDS = [int(each) for each in os.environ.get("SEEDS", "1,2").split(",")]
NAMED = [each for each in INCIDENTS if any(part in each.name for part in os.environ.get("INCIDENTS", "").split(","))]
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(autouse=True)
def fast(clickhouse: None, spool: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "PACE_S", 0.0)


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    sys.stdout.write("\n| incident | seed | before | right after | the sentence then |\n|---|---|---|---|---|\n")
    sys.stdout.write("\n".join(rows) + "\n")


def _row(found: Watched, seed: int) -> str:
    right = next((look for look in found.after if found.is_right(look)), None)
    after = f"{right.after_s} s" if right else "never"
    sentence = (right or found.after[-1]).sentence
    return f"| {found.incident.name} | {seed} | {found.before[-1].sentence} | {after} | {sentence} |"


@pytest.mark.django_db
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("incident", NAMED, ids=lambda each: each.name)
def test_incident(incident: Incident, seed: int, table: list[str]) -> None:
    found = watch(incident, AT_S, LOOKS_S, seed=seed)
    table.append(_row(found, seed))
    assert {look.sentence.partition(":")[0] for look in found.before} == {"All well"}
    wrong = [
        (look.after_s, [one.sentence for one in look.said])
        for look in found.after
        if look.after_s >= WITHIN_S and not found.is_right(look)
    ]
    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", SEEDS)
def test_half_an_hour_of_calm_has_no_finding(seed: int) -> None:
    play = Play(plan(lately(CALM_TO_S - AHEAD_S), lambda _: [], seed=seed))
    wrong = []
    for at_s in range(CALM_FROM_S, CALM_TO_S + 1, 50):
        play.go(play.start + timedelta(seconds=at_s))
        wrong += [one.sentence for one in findings(signals(play)) if one.kind != "calm"]
    play.close()
    assert wrong == []
