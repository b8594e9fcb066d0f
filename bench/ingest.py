"""Ingest: HTTP to queryable, exactly once, by format; acknowledgement and freshness at half load; the bare engine beside it."""

import json
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench import engine
from bench.bodies import TENANTS
from bench.processes import Watch
from bench.report import TARGETS, Figure, figure, percentile
from bench.stack import ROOT

SECONDS = 60
HALF_SECONDS = 60
CONNECTIONS = 4
# Arrow is what a fleet's collectors send, a few times a second each; the others come from single gateways.
EVENTS_PER_REQUEST = {"arrow": 20_000, "ndjson": 5_000, "cloudevents": 5_000}
SMALL_REQUEST, SMALL_SECONDS = 5_000, 20
# Half load is half of what must be sustained (DESIGN section 7), or half of what was, if that is less.
TARGET_EVENTS_PER_S = TARGETS["ingest.arrow_events_per_s"][1]
PROBES = 3


@dataclass
class Bench:
    """A run against one stack. `sent` counts every event that was acknowledged."""

    url: str
    key: str
    up_pid: int
    sent: int = 0
    figures: list[Figure] = field(default_factory=list)

    def measure(self) -> list[Figure]:
        rates = {kind: self.sustained(kind, SECONDS, name=f"ingest.{kind}") for kind in EVENTS_PER_REQUEST}
        self.sustained("arrow", SMALL_SECONDS, name="ingest.arrow_small_requests", events=SMALL_REQUEST)
        self._half_load(min(rates["arrow"], TARGET_EVENTS_PER_S))
        bare = engine.rate()
        self._add("ingest.engine_rows_per_s", bare, unit="rows/s", note="same rows, same tables and rollups, by itself")
        self._add("ingest.ratio_to_engine", rates["arrow"] / bare, note="Arrow over HTTP, load generator included")
        rows, distinct = statement("SELECT count(), uniqExact(identity) FROM requests")[0]
        self._add("ingest.lost", self.sent - distinct, note=f"of {self.sent:,} acknowledged")
        self._add("ingest.doubled", rows - distinct)
        return self.figures

    def sustained(self, kind: str, seconds: float, *, name: str, events: int = 0) -> float:
        """Events per second until the last one is queryable, not until it is sent. `events`: in a request, 0 for the format's own."""
        events = events or EVENTS_PER_REQUEST[kind]
        before = stored_rows()
        with Watch(self.up_pid) as usage:
            started = time.monotonic()
            run = self._load(kind, seconds, events=events)
            _wait_for(before + run["sent"])
            rate = float(run["sent"] / (time.monotonic() - started))
        note = f"{run['sent']:,} events in {run['seconds']:.0f} s, {events:,} a request"
        self._add(f"{name}_events_per_s", rate, unit="events/s", note=note)
        self._add(f"{name}_full_load_ack_p50_ms", percentile(run["ack_ms"], 0.5), unit="ms")
        self._add(f"{name}_full_load_ack_p99_ms", percentile(run["ack_ms"], 0.99), unit="ms")
        costs = {role: spent for role, spent in usage.cpu_s.items() if spent > 0.5} | {"load": run["cpu_s"]}
        for role, spent in sorted(costs.items()):
            self._add(f"{name}_cpu_us_per_event.{role}", spent / run["sent"] * 1e6, unit="us")
        if name == "ingest.arrow":
            for role, megabytes in sorted(usage.peak_mb.items()):
                self._add(f"ingest.peak_rss.{role}", megabytes, unit="MB")
        return rate

    def _half_load(self, rate: float) -> None:
        before = stored_rows()
        fresh: list[float] = []
        stop = threading.Event()
        probes = [threading.Thread(target=self._probe, args=(fresh, stop)) for _ in range(PROBES)]
        for probe in probes:
            probe.start()
        # Who batches by time has half as much in a request at half the load.
        run = self._load("arrow", HALF_SECONDS, events=EVENTS_PER_REQUEST["arrow"] // 2, rate=rate / 2)
        stop.set()
        for probe in probes:
            probe.join()
        self.sent += len(fresh)
        _wait_for(before + run["sent"] + len(fresh))
        note = f"Arrow at {run['sent'] / run['seconds']:,.0f} events/s"
        self._add("ingest.ack_p50_ms", percentile(run["ack_ms"], 0.5), unit="ms", note=note)
        self._add("ingest.ack_p99_ms", percentile(run["ack_ms"], 0.99), note=note)
        self._add(
            "ingest.freshness_p50_s", percentile(fresh, 0.5), unit="s", note=f"{len(fresh)} single events meanwhile"
        )
        self._add("ingest.freshness_p99_s", percentile(fresh, 0.99), note=f"{len(fresh)} single events meanwhile")

    def _probe(self, fresh: list[float], stop: threading.Event) -> None:
        while not stop.wait(0.1):
            fresh.append(freshness(self.url, self.key))

    def _load(self, kind: str, seconds: float, *, events: int, rate: float = 0) -> dict[str, Any]:
        words = [self.url, self.key, kind, str(seconds), str(events), str(CONNECTIONS), str(rate)]
        command = [sys.executable, "-m", "bench.load", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        self.sent += found["sent"]
        return found

    def _add(self, name: str, value: float, *, unit: str = "", note: str = "") -> None:
        self.figures.append(figure(name, value, unit=unit, note=note))


def statement(sql: str, **options: Any) -> list[tuple[Any, ...]]:
    from metering.clickhouse import client

    return client.statement("bench", sql, timeout_s=300, **options)


def stored_rows() -> int:
    return int(statement("SELECT count() FROM requests")[0][0])


def _wait_for(rows: int) -> None:
    deadline = time.monotonic() + 300
    while (found := stored_rows()) < rows:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{rows - found} of {rows} events did not arrive in 300 s")
        time.sleep(0.1)


def freshness(url: str, key: str) -> float:
    """Seconds from the acknowledgement of one event until a query finds it."""
    identity = f"fresh-{uuid.uuid4()}"
    event = {"id": identity, "tenant": TENANTS[0], "model": "model-0", "input_tokens": 1, "output_tokens": 1}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    httpx.post(f"{url}/api/v1/events", content=json.dumps(event), headers=headers, timeout=60).raise_for_status()
    acknowledged = time.monotonic()
    found = f"tenant = '{TENANTS[0]}' AND id = '{identity}' AND time > now() - 60"
    while not statement(f"SELECT count() FROM requests WHERE {found}")[0][0]:
        time.sleep(0.02)
    return time.monotonic() - acknowledged
