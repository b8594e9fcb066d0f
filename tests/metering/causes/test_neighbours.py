"""Noisy neighbours: pure comparisons first, then over the rows that ingest writes."""

import random
import uuid
from datetime import UTC, datetime

import pytest

from metering.causes.neighbours import Neighbour, compare, noisy_neighbours, partial
from metering.live import LiveScope
from metering.telemetry.spans import MINUTE
from tests.metering.rows import insert_requests

START = datetime(2026, 5, 7, 10, 0, tzinfo=UTC)
LENGTH = 90


def minutes(loads: list[float]) -> dict[int, float]:
    return {60 * at: load for at, load in enumerate(loads)}


def test_loud_minutes_are_paired_with_quiet_ones_in_which_the_others_do_alike() -> None:
    own = minutes([100.0 if at % 3 == 0 else 10.0 for at in range(60)])
    totals = {at: load + 200.0 for at, load in own.items()}
    found = compare(own, totals)
    assert found is not None
    assert len(found.loud) == len(found.quiet) >= 8
    assert {own[at] for at in found.loud} == {100.0}
    assert {own[at] for at in found.quiet} == {10.0}
    assert found.share == pytest.approx(1 / 3)


def test_where_the_others_are_loud_in_the_same_minutes_nothing_can_be_told() -> None:
    own = minutes([100.0 if at % 3 == 0 else 10.0 for at in range(60)])
    totals = {at: load * 5 for at, load in own.items()}
    assert compare(own, totals) is None


@pytest.mark.parametrize("own", [[50.0] * 60, [60.0 if at % 2 else 50.0 for at in range(60)], [100.0, 1.0] * 5])
def test_a_load_that_hardly_swings_or_is_short_is_no_neighbours(own: list[float]) -> None:
    assert compare(minutes(own), {at: load + 100 for at, load in minutes(own).items()}) is None


def test_a_partial_correlation_leaves_out_what_goes_with_the_third() -> None:
    rng = random.Random(1)  # noqa: S311 - no secret
    third = [rng.random() for _ in range(200)]
    both = [(value + rng.random() / 10, value + rng.random() / 10) for value in third]
    assert abs(partial([one for one, _ in both], [other for _, other in both], third)) < 0.2
    own = [rng.random() for _ in range(200)]
    assert partial([value + rng.random() / 10 for value in own], own, third) > 0.9
    assert partial([1.0] * 10, [2.0] * 10, [3.0] * 10) == 0.0


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
@pytest.mark.parametrize("noisy", [True, False])
def test_the_one_whose_load_moves_the_others_latency_is_named(noisy: bool) -> None:
    own, rng = uuid.uuid4().hex[:8], random.Random(2)  # noqa: S311 - no secret
    model, region = f"m-{own}", f"r-{own}"
    rows: dict[str, list[dict[str, object]]] = {f"{name}-{own}": [] for name in ("loud", "a", "b")}
    for at in range(LENGTH):
        loud = rng.random() < 0.3
        for tenant, sent in rows.items():
            mine = tenant.startswith("loud")
            ttft_ms = rng.uniform(180, 220) * (2.5 if loud and noisy and not mine else 1)
            sent += [
                {
                    "id": f"{own}-{tenant}-{at}-{n}",
                    "time": START + at * MINUTE,
                    "model": model,
                    "region": region,
                    "ttft_ms": ttft_ms,
                    "tpot_ms": rng.uniform(20, 22),
                }
                for n in range((20 if loud else 2) if mine else rng.randrange(9, 12))
            ]
    for tenant, sent in rows.items():
        insert_requests(tenant, *sent)
    found = noisy_neighbours(START, START + LENGTH * MINUTE, LiveScope(region=region))
    if not noisy:
        assert found == []
        return
    [neighbour] = found
    assert isinstance(neighbour, Neighbour)
    assert (neighbour.tenant, neighbour.model, neighbour.measure) == (f"loud-{own}", model, "ttft_ms")
    assert neighbour.others_p95_quiet_ms == pytest.approx(218, rel=0.05)
    assert neighbour.ratio == pytest.approx(2.5, rel=0.1)
    assert neighbour.share_of_load == pytest.approx(0.5, abs=0.05)
    assert neighbour.minutes >= 8
    assert neighbour.correlation > 0.5
    assert neighbour.leads


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
def test_without_requests_there_is_nobody() -> None:
    assert noisy_neighbours(START, START + MINUTE, LiveScope(region=uuid.uuid4().hex)) == []
