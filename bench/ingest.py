"""Ingest: HTTP to queryable, exactly once."""

import json
import subprocess
import sys
import time
import uuid

import httpx

from bench.report import Figure, figure, percentile
from bench.stack import ROOT

SECONDS = 30
EVENTS_PER_REQUEST = 2_000
CONNECTIONS = 4


def measure(url: str, key: str) -> list[Figure]:
    """Throughput by format, acknowledgement at half of it, freshness, and what was lost or doubled over all of it."""
    figures = []
    sent = 0
    rates = {}
    for kind in ("ndjson", "cloudevents"):
        before = _rows()
        started = time.monotonic()
        run = _load(url, key, kind, SECONDS)
        _wait_for(before + run["sent"])
        rates[kind] = run["sent"] / (
            time.monotonic() - started
        )  # until the last one is queryable, not until it is sent
        sent += run["sent"]
        figures.append(figure(f"ingest.{kind}_events_per_s", rates[kind], note=f"{run['sent']:,} events"))
    half = _load(url, key, "ndjson", 15, rate=rates["ndjson"] / 2)
    sent += half["sent"]
    figures.append(figure("ingest.ack_p99_ms", percentile(half["ack_ms"], 0.99), note="NDJSON at half load"))
    _wait_for(sent)
    fresh = [_freshness(url, key) for _ in range(30)]
    figures.append(figure("ingest.freshness_p99_s", percentile(fresh, 0.99), note="30 single events, idle otherwise"))
    engine = _engine_rate()
    figures.append(
        figure("ingest.ratio_to_engine", rates["ndjson"] / engine, note=f"engine alone {engine:,.0f} events/s")
    )
    rows, distinct = _counts()
    figures.append(figure("ingest.lost", sent + len(fresh) - distinct))
    figures.append(figure("ingest.doubled", rows - distinct))
    return figures


def _load(url: str, key: str, kind: str, seconds: float, rate: float = 0) -> dict:
    command = [
        sys.executable,
        "-m",
        "bench.load",
        url,
        key,
        kind,
        str(seconds),
        str(EVENTS_PER_REQUEST),
        str(CONNECTIONS),
        str(rate),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def _statement(sql: str, **options: object) -> list[tuple]:
    from metering.clickhouse import client

    return client.statement("bench", sql, timeout_s=300, **options)


def _rows() -> int:
    return _statement("SELECT count() FROM requests")[0][0]


def _counts() -> tuple[int, int]:
    return _statement("SELECT count(), uniqExact(identity) FROM requests")[0]


def _wait_for(rows: int) -> None:
    deadline = time.monotonic() + 300
    while (found := _rows()) < rows:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{rows - found} of {rows} events did not arrive in 300 s")
        time.sleep(0.1)


def _freshness(url: str, key: str) -> float:
    """Seconds from the acknowledgement of one event until a query finds it."""
    identity = f"fresh-{uuid.uuid4()}"
    event = {"id": identity, "model": "model-0", "input_tokens": 1, "output_tokens": 1}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    httpx.post(f"{url}/api/v1/events", content=json.dumps(event), headers=headers).raise_for_status()
    acknowledged = time.monotonic()
    while not _statement(
        f"SELECT count() FROM requests WHERE tenant = 'bench' AND id = '{identity}' AND time > now() - 60"
    )[0][0]:
        time.sleep(0.01)
    return time.monotonic() - acknowledged


def _engine_rate() -> float:
    """Rows per second that the engine alone inserts of the same rows, from memory, with the same rollup work left out."""
    _statement("CREATE TABLE IF NOT EXISTS bench_requests AS requests")
    rows = min(_rows(), 1_000_000)
    started = time.monotonic()
    _statement(f"INSERT INTO bench_requests SELECT * FROM requests LIMIT {rows}", settings={"max_insert_threads": 1})
    seconds = time.monotonic() - started
    _statement("DROP TABLE bench_requests")
    return rows / seconds
