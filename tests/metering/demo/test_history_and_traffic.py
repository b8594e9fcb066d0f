"""History and live traffic are the same events, whichever way they come in."""

import json
import stat
import threading
import time
import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering.clickhouse import client
from metering.demo import history, state
from metering.demo.generate import HOUR, hour, hour_start
from metering.demo.traffic import HourTable, send_until
from metering.ingest import local
from metering.ingest.drain import drain
from metering.replay.sender import Sender
from tests.metering.replay.answers import answering

BEGIN = datetime(2026, 11, 20, 9, 20, tzinfo=UTC)
END = datetime(2026, 11, 20, 11, 45, tzinfo=UTC)


@pytest.fixture
def anchor(request: pytest.FixtureRequest) -> datetime:
    """Another for each test, so that no two tests write the same events."""
    return datetime(2026, 10, 1, tzinfo=UTC) - timedelta(hours=zlib.crc32(request.node.name.encode()) % 10_000)


def stored(anchor: datetime) -> list[tuple[Any, ...]]:
    sql = "SELECT count(), uniqExact(tenant, id), sum(input_tokens), min(time), max(time) FROM requests WHERE source = %(source)s"
    return client.statement("test_demo", sql, {"source": f"demo:{anchor:%Y%m%d%H}"})


@pytest.mark.usefixtures("clickhouse", "spool")
def test_history_reaches_clickhouse_whole_and_within_its_range(anchor: datetime) -> None:
    covered: list[datetime] = []

    count = history.put(local.spool(), anchor, BEGIN, END, covered.append)
    drain(local.spool())

    ((rows, identities, tokens, first, last),) = stored(anchor)
    expected = pa.concat_tables([hour(anchor, hour_start(BEGIN) + number * HOUR) for number in range(3)])
    inside = [row for row in expected.select(["time", "input_tokens"]).to_pylist() if BEGIN <= row["time"] < END]
    assert rows == identities == count == len(inside)
    assert tokens == sum(row["input_tokens"] for row in inside)
    assert first.replace(tzinfo=UTC) >= BEGIN
    assert last.replace(tzinfo=UTC) < END
    assert covered[-1] == END


@pytest.mark.usefixtures("clickhouse", "spool")
def test_a_gap_is_topped_up_without_doubling(anchor: datetime) -> None:
    middle = BEGIN + timedelta(minutes=50, microseconds=1500)
    for begin, end in ((BEGIN, middle), (middle, END)):
        history.put(local.spool(), anchor, begin, end, lambda _: None)
    drain(local.spool())

    ((rows, identities, *_),) = stored(anchor)
    assert rows == identities == sum(table.num_rows for _, table in history.slices(anchor, BEGIN, END))


@pytest.mark.usefixtures("spool")
def test_a_stretch_without_events_is_covered_all_the_same(anchor: datetime) -> None:
    covered: list[datetime] = []

    assert history.put(local.spool(), anchor, BEGIN, BEGIN, covered.append) == 0
    assert history.put(local.spool(), anchor, BEGIN, BEGIN + timedelta(microseconds=1), covered.append) == 0
    assert covered[-1] == BEGIN + timedelta(microseconds=1)


def test_live_traffic_sends_what_history_would_have_held(anchor: datetime) -> None:
    (_, table), *_ = history.slices(anchor, BEGIN, BEGIN + timedelta(minutes=5))

    live = list(HourTable(anchor).between(BEGIN, BEGIN + timedelta(minutes=5)))

    assert [event["id"] for event in live] == table["id"].to_pylist()
    assert sum(event["output_tokens"] for event in live) == sum(table["output_tokens"].to_pylist())
    assert live[0]["attributes"]["demo"] == "true"
    assert all(value is not None for event in live for value in event.values())


def test_slices_of_live_traffic_meet_without_gap_or_overlap(anchor: datetime) -> None:
    moments = [BEGIN + timedelta(seconds=0.7 * number) for number in range(2 * 3600)]  # across a full hour
    whole = [event["id"] for event in HourTable(anchor).between(moments[0], moments[-1])]

    table = HourTable(anchor)
    pieces = [event["id"] for begin, end in pairwise(moments) for event in table.between(begin, end)]

    assert pieces == whole


def test_traffic_goes_on_where_history_ended_and_remembers_how_far_it_came(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    demo = state.begin(tmp_path, now)
    demo.covered_until = now - timedelta(minutes=10)
    stop = threading.Event()
    with answering() as server, Sender(server.url, "k", retry_for_s=5, tell=print) as sender:
        thread = threading.Thread(target=send_until, args=(stop, demo, sender))
        thread.start()
        give_up_at = time.monotonic() + 20
        while not server.bodies and time.monotonic() < give_up_at:
            time.sleep(0.05)
        stop.set()
        thread.join()

    times = [datetime.fromisoformat(event["time"]) for body in server.bodies for event in body]
    assert now - timedelta(minutes=10) - timedelta(milliseconds=1) <= min(times) < now - timedelta(minutes=8)
    remembered = state.load(tmp_path)
    assert remembered is not None
    assert remembered.covered_until > max(times)


def test_the_state_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    demo = state.begin(tmp_path, datetime(2026, 11, 23, 11, 30, tzinfo=UTC))
    demo.logins.append(state.Login("operator", "demo-operator", "secret", "/operator/"))
    demo.save()
    demo.save()

    assert stat.S_IMODE(demo.path.stat().st_mode) == 0o600
    assert state.load(tmp_path) == demo
    assert json.loads(demo.path.read_text())["logins"][0]["password"] == "secret"


def test_history_is_35_days_long(tmp_path: Path) -> None:
    demo = state.begin(tmp_path, datetime(2026, 11, 23, 11, 30, tzinfo=UTC))

    assert demo.anchor == demo.covered_until == datetime(2026, 10, 19, 11, tzinfo=UTC)
