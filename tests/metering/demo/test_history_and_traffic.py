"""History is put into the spool whole; live traffic goes on where it ended, through the agents of a simulated fleet."""

import json
import stat
import threading
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering.clickhouse import client
from metering.demo import history, state, traffic
from metering.demo.generate import HOUR, hour
from metering.ingest import local
from metering.ingest.drain import drain
from metering.moments import hour_start
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


def test_live_traffic_begins_where_history_ended_and_never_more_than_three_hours_back() -> None:
    now = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)

    assert traffic.begin(now, now - timedelta(minutes=10, seconds=15)) == datetime(2026, 11, 20, 11, 50, tzinfo=UTC)
    assert traffic.begin(now, now - timedelta(days=3)) == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def test_traffic_catches_up_from_where_history_ended_and_remembers_how_far_it_came(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    demo = state.begin(tmp_path, now)
    demo.covered_until = now - timedelta(minutes=10)
    stop = threading.Event()
    with answering() as server:
        caught_up: list[datetime] = []
        words = {"url": server.url, "key": "tw_k", "folder": tmp_path / "agents"}
        words |= {"caught_up": lambda: caught_up.append(demo.covered_until)}
        thread = threading.Thread(target=traffic.send_until, args=(stop, demo, now), kwargs=words)
        thread.start()
        give_up_at = time.monotonic() + 60
        while demo.covered_until < now - timedelta(minutes=1) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        stop.set()
        thread.join()
    remembered = state.load(tmp_path)

    lines = [line for body in server.bodies for line in body]
    samples = [line for line in lines if "kind" in line]
    events = [line for line in lines if "model" in line and "kind" not in line]
    ended = [datetime.fromisoformat(event["time"]) for event in events]
    assert now - timedelta(minutes=11) <= min(ended) < now - timedelta(minutes=8)
    assert {sample["kind"] for sample in samples} == {"gpu", "engine"}
    assert all(sample["simulated"] for sample in samples)
    assert all(event["attributes"]["simulated"] == "true" for event in events)
    assert remembered is not None
    assert remembered.covered_until > max(ended)
    [at] = caught_up
    assert at >= now - timedelta(minutes=2)


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
