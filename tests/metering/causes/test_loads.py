"""Whose load took a step. Over the rows that ingest writes."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.causes.loads import LoadShift, load_shifts
from metering.live import LiveScope
from metering.telemetry.spans import MINUTE, minute_of
from tests.metering.rows import insert_requests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
NOW = datetime(2026, 5, 6, 10, 0, 40, tzinfo=UTC)
REGION_LENGTH = 8


class Served:
    """Requests of own customers on an own model: `send` puts so many a minute at each of the last minutes."""

    def __init__(self) -> None:
        self.own = uuid.uuid4().hex[:REGION_LENGTH]
        self.model = f"m-{self.own}"
        self.region = f"r-{self.own}"

    def tenant(self, name: str) -> str:
        return f"{name}-{self.own}"

    def send(self, name: str, counts: Sequence[int], **fields: Any) -> None:
        rows = [
            {
                "id": f"{self.own}-{name}-{back}-{n}",
                "time": minute_of(NOW) - back * MINUTE,
                "model": self.model,
                "region": self.region,
            }
            | fields
            for back, count in enumerate(reversed(counts))
            for n in range(count)
        ]
        insert_requests(self.tenant(name), *rows)

    def shifts(self) -> list[LoadShift]:
        return load_shifts(LiveScope(region=self.region), NOW)


@pytest.fixture
def served() -> Served:
    return Served()


def test_the_customer_who_sends_more_is_named_with_when_and_how_much(served: Served) -> None:
    served.send("steady", [20] * 59 + [14])
    served.send("burst", [10] * 55 + [40, 40, 40, 40, 27], e2e_ms=5000.0, queue_ms=1000.0)
    [shift] = served.shifts()
    assert (shift.tenant, shift.model) == (served.tenant("burst"), served.model)
    assert shift.since == minute_of(NOW) - 4 * MINUTE
    assert shift.growth == pytest.approx(3.0, abs=0.05)
    assert shift.share == pytest.approx(40 / 60, abs=0.02)
    assert shift.share_before == pytest.approx(10 / 30, abs=0.02)
    assert shift.part == pytest.approx(1.0, abs=0.05)
    assert shift.held_now == pytest.approx(shift.now_s * 4, rel=0.03)


def test_when_all_send_more_it_is_no_customers_doing(served: Served) -> None:
    for name in ("a", "b", "c"):
        served.send(name, [10] * 55 + [30] * 4 + [20])
    assert served.shifts() == []


def test_when_requests_come_back_after_a_gap_nobody_is_blamed(served: Served) -> None:
    for name in ("a", "b"):
        served.send(name, [20] * 40 + [0] * 15 + [20] * 4 + [13])
    assert served.shifts() == []


def test_a_customer_who_is_new_on_a_model_is_a_step_from_nothing(served: Served) -> None:
    served.send("old", [20] * 59 + [14])
    served.send("new", [30, 30, 20])
    [shift] = served.shifts()
    assert (shift.tenant, shift.before_s, shift.growth) == (served.tenant("new"), 0.0, float("inf"))
    assert shift.held_now is None


def test_a_model_that_is_new_itself_has_no_step(served: Served) -> None:
    served.send("first", [20] * 12 + [14])
    assert served.shifts() == []


def test_what_adds_little_or_is_a_few_long_prompts_is_left_out(served: Served) -> None:
    served.send("steady", [100] * 59 + [66])
    served.send("little", [1] * 55 + [8] * 4 + [5])
    served.send("long", [2] * 60)
    served.send("prompt", [0] * 59 + [3], input_tokens=10_000)
    assert served.shifts() == []


def test_a_burst_that_is_over_is_no_cause_of_now(served: Served) -> None:
    served.send("steady", [20] * 59 + [14])
    served.send("burst", [10] * 30 + [80] * 5 + [10] * 24 + [7])
    assert served.shifts() == []


def test_without_requests_there_is_nothing(served: Served) -> None:
    assert load_shifts(LiveScope(region=served.region), NOW + timedelta(days=1)) == []
