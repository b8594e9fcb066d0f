"""The scripted day: KV cache, power cap and queue bind one after the other, and the saturation score names each within a minute."""

from collections.abc import Iterator

import numpy as np
import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.provider import binding_day, day_plan
from metering.telemetry.saturation import Points, Readings, saturation
from tests.metering.simulator.plans import START_MS

CHANGES = binding_day(300, lasts_s=600, every_s=900)
NAMES = ("kv_cache", "power", "queue")
HALF_MINUTE_S, SAMPLE_S = 30, 10


def watched(fleet: Fleet, engine: int, seconds: int) -> Iterator[tuple[int, str]]:
    """What binds the engine in every half minute, '' if nothing does, out of a sample every ten seconds; with the time of its end."""
    for end_s in range(HALF_MINUTE_S, seconds + 1, HALF_MINUTE_S):
        before = fleet.boards._activity[:, engine].copy(), fleet.counters.value(engine, "preemptions")
        samples = []
        for at_s in range(end_s - HALF_MINUTE_S + SAMPLE_S, end_s + 1, SAMPLE_S):
            fleet.step(START_MS + at_s * 1000)
            gauges = fleet.gauges()
            power_share = fleet.boards.power_w[fleet.boards.engine == engine].max() / fleet.limits.power_cap_w[engine]
            samples.append(
                (
                    gauges.kv_cache_usage[engine],
                    gauges.running[engine],
                    gauges.waiting[engine],
                    power_share,
                    fleet.boards.capped[engine],
                )
            )
        kv, running, waiting, power_share, capped = np.array(samples, dtype=float).T
        _, _, tensor, dram = (fleet.boards._activity[:, engine] - before[0]) / HALF_MINUTE_S
        readings = Readings(
            kv_cache_usage=kv.max(),
            preemption_rate=(fleet.counters.value(engine, "preemptions") - before[1])
            / HALF_MINUTE_S
            / max(running.mean(), 1),
            waiting_per_running=waiting.mean() / max(running.mean(), 1),
            dram_active=dram,
            tensor_active=tensor,
            power_share=power_share.mean(),
            power_throttle=capped.mean(),
            thermal_throttle=0.0,
        )
        found = saturation(readings, Points())
        yield end_s, found.constraint if found.bound else ""


@pytest.fixture(scope="module")
def bound() -> list[tuple[int, str]]:
    return list(watched(Fleet(day_plan(START_MS, changes=CHANGES)), 0, 2_880))


@pytest.mark.parametrize(("change", "name"), list(zip(CHANGES[:3], NAMES, strict=True)), ids=NAMES)
def test_it_is_named_within_a_minute_and_as_long_as_it_lasts(
    bound: list[tuple[int, str]], change: object, name: str
) -> None:
    start, end = change.start_s, change.end_s  # type: ignore[attr-defined]
    during = [found for at, found in bound if start + 60 <= at <= end]

    assert during[0] == name
    assert during.count(name) >= 0.9 * len(during)


def test_nothing_binds_before_between_and_a_while_after(bound: list[tuple[int, str]]) -> None:
    quiet = [found for at, found in bound if not any(change.start_s < at <= change.end_s + 60 for change in CHANGES)]

    assert len(quiet) > 25
    assert set(quiet) == {""}
