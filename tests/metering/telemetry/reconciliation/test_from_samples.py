"""The whole way: samples of an engine and events of its requests, worked up to windows, compared by the hour."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from metering.public import Leakage, leakage_report
from metering.telemetry.reconciliation.hours import Incomplete
from tests.metering.rows import insert_requests
from tests.metering.telemetry.energy.scene import SECOND, Scene
from tests.metering.telemetry.reconciliation.windows import HOUR, settle

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

PROMPT, OUTPUT = 900, 300
EVERY_S, TTFT_S, LASTS_S = 6, 2.0, 40.0  # seven requests at a time
UNTOLD = 50  # one in so many is aborted at its end, and no event tells of it


@dataclass(frozen=True)
class Request:
    """`begin`: seconds from the hour's start; it runs across its edges too."""

    number: int
    begin: float

    def prompt_by(self, second: float) -> int:
        return PROMPT if second > self.begin + TTFT_S else 0

    def output_by(self, second: float) -> int:
        return int(OUTPUT * min(max((second - self.begin - TTFT_S) / (LASTS_S - TTFT_S), 0.0), 1.0))

    def ended_by(self, second: float) -> bool:
        return second > self.begin + LASTS_S


REQUESTS = [Request(n, -600.0 + n * EVERY_S) for n in range(800)]


def sample(second: float, began: float = -1e9) -> tuple[float, dict[str, float]]:
    """What an engine that began at `began` counts of the requests since."""
    mine = [one for one in REQUESTS if began <= one.begin]
    ended = [one for one in mine if one.ended_by(second)]
    return second, {
        "running": float(sum(one.begin < second for one in mine) - len(ended)),
        "prompt_tokens": sum(one.prompt_by(second) for one in mine),
        "generation_tokens": sum(one.output_by(second) for one in mine),
        "requests_finished": len(ended),
        "requests_aborted": sum(one.number % UNTOLD == 0 for one in ended),
    }


@pytest.fixture
def scene(tenant_key: str) -> Scene:
    """Every request has its event but the aborted ones."""
    found = Scene(tenant_key)
    found.steady_gpu(4500, 300, begin=-900)
    told = [one for one in REQUESTS if one.number % UNTOLD]
    usual = {"node": found.node, "engine": "e0", "ttft_ms": TTFT_S * 1000, "e2e_ms": LASTS_S * 1000}
    usual |= {"input_tokens": PROMPT, "output_tokens": OUTPUT, "cached_input_tokens": 0}
    ends = [(one.number, found.at(one.begin + LASTS_S)) for one in told]
    insert_requests(
        tenant_key, *({"id": str(number), "time": end, "ingested_at": end + SECOND} | usual for number, end in ends)
    )
    settle(found.start + 2 * HOUR)
    return found


def compared(scene: Scene) -> Leakage:
    scene.windows(60)
    return leakage_report(scene.start, scene.start + timedelta(hours=1), only={"node": scene.node}).total


def test_two_percent_of_streams_that_leave_no_event_are_two_percent_within_a_tenth_of_a_point(scene: Scene) -> None:
    scene.engine(*(sample(second) for second in range(-900, 4501, 10)))
    found = compared(scene)
    assert (found.hours, found.incomplete_hours) == (1, 0)
    assert found.unbilled_share == pytest.approx(0.02, abs=0.001)
    assert found.unbilled_requests_share == pytest.approx(0.02, abs=0.001)
    assert found.phantom_share == pytest.approx(0, abs=0.001)
    assert (found.engine_side.requests, found.aborted) == pytest.approx((600, 12), abs=2)


def test_an_engine_that_began_anew_within_the_hour_has_an_hour_that_cannot_be_compared(scene: Scene) -> None:
    samples = [sample(second) for second in range(-900, 1800, 10)]
    scene.engine(*samples, *(sample(second, began=1790) for second in range(1830, 4501, 10)))
    found = compared(scene)
    assert (found.hours, found.reasons) == (0, ((Incomplete.RESTART, 1),))


def test_ten_minutes_without_samples_cannot_be_compared_and_do_not_look_like_a_leak(scene: Scene) -> None:
    scene.engine(*(sample(second) for second in range(-900, 4501, 10) if not 1200 < second < 1800))
    found = compared(scene)
    assert (found.hours, found.reasons) == (0, ((Incomplete.SAMPLES, 1),))
