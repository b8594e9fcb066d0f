"""What open dashboards cost: many clients on live streams of different pages and filters, while the demo's fleet is served.

Against a stack that runs already:

    .venv/bin/python -m bench.streams http://127.0.0.1:8000 --user ada --password ... --pid 4711 [--clients 50] [--minutes 10]

`--pid` is the web process (granian), or one above it: its children count as well. Prints its CPU as a share of one core and its resident
memory for each quarter of a minute, then the figures of all: `dashboards(...)` returns them for a run of the whole bench.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

import httpx
import psutil

from bench.processes import web_process
from bench.report import Figure, figure
from bench.stack import manage, running

EVERY_S = 15.0
SETTLES_S = 20.0  # connections open, first readings are taken: CPU is judged from here on
# What is kept for two minutes and every thread's buffers grow to their size for some minutes more: memory is judged from here on.
FILLS_S = 480.0
# Wall displays show the same few; who looks for something has filters of their own.
PATHS = (
    "overview/",
    "overview/",
    "overview/?range=24h",
    "overview/?range=7d",
    "overview/?region=eu-west",
    "overview/?model=llama-3.3-70b&range=6h",
    "saturation/",
    "saturation/?range=6h",
    "gpus/",
    "engines/",
    "latency/",
    "latency/?range=24h",
    "energy/",
    "tenants/",
    "ingest/",
    "leakage/",
    "capacity/",
    "alerts/",
)


@dataclass
class Sample:
    at_s: float
    cores: float
    rss_mb: float


@dataclass
class Outcome:
    """`late_s`: how old readings were on arrival, by the clock of this machine, in order."""

    clients: int
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    readings: int = 0
    bytes: int = 0
    troubles: list[str] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    reconnects: int = 0

    @property
    def cores(self) -> float:
        settled = self._after(SETTLES_S)
        return sum(one.cores for one in settled) / len(settled)

    @property
    def quarters_mb(self) -> list[float]:
        """Means of the quarters of the time after FILLS_S: what leaks goes on growing."""
        settled = self._after(FILLS_S)
        length = max(1, len(settled) // 4)
        parts = [settled[at : at + length] for at in range(0, min(length * 4, len(settled)), length)]
        return [sum(one.rss_mb for one in part) / len(part) for part in parts]

    @property
    def growth_mb(self) -> float:
        """From the first of `quarters_mb` to the last."""
        return self.quarters_mb[-1] - self.quarters_mb[0]

    @property
    def late_p95_s(self) -> float:
        return sorted(self.late_s)[int(len(self.late_s) * 0.95)] if self.late_s else float("nan")

    def _after(self, seconds: float) -> list[Sample]:
        return [one for one in self.samples if one.at_s > seconds] or self.samples


def measure(data_dir: Path) -> list[Figure]:
    """50 clients for BENCH_STREAM_MINUTES (18: memory fills up, then ten minutes are measured) on the demo, of which nothing is kept."""
    minutes = float(os.environ.get("BENCH_STREAM_MINUTES", "18"))
    with running(data_dir, "--demo") as (url, pid):
        password = manage(data_dir, "create_user", "bench-streams", "--role", "operator")
        print(f"  50 dashboards for {minutes:g} minutes", flush=True)
        found = dashboards(url, ("bench-streams", password), web_process(pid), minutes=minutes)
    note = f"{found.readings / found.seconds:.0f} readings/s, {found.reconnects} reconnects, {len(found.troubles)} troubles"
    quarters = ", ".join(f"{one:.0f}" for one in found.quarters_mb)
    return [
        figure("streams.web_cores", found.cores, unit="cores", note=f"50 dashboards, {note}"),
        figure("streams.web_growth_mb", found.growth_mb, unit="MB", note=f"by quarters {quarters}"),
        figure("streams.late_p95_s", found.late_p95_s, unit="s", note="how old a reading is when it arrives"),
    ]


def dashboards(
    url: str,
    login: tuple[str, str],
    pid: int,
    *,
    clients: int = 50,
    minutes: float = 10,
    paths: Sequence[str] = PATHS,
    tell: Callable[[Sample], None] = lambda sample: None,
) -> Outcome:
    """Streams for so many minutes; `login` is the name and password of an operator."""
    run = _dashboards(url, login, pid, clients=clients, seconds=minutes * 60, paths=paths, tell=tell)
    return asyncio.run(run)


async def _dashboards(
    url: str,
    login: tuple[str, str],
    pid: int,
    *,
    clients: int,
    seconds: float,
    paths: Sequence[str],
    tell: Callable[[Sample], None],
) -> Outcome:
    outcome = Outcome(clients)
    limits = httpx.Limits(max_connections=clients + 5)
    async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(30), limits=limits) as http:
        await _log_in(http, *login)
        until = time.monotonic() + seconds
        watched = [asyncio.create_task(_watch(http, path, until, outcome)) for path in islice(cycle(paths), clients)]
        await _measure(psutil.Process(pid), seconds, outcome, tell)
        for one in watched:
            one.cancel()
        await asyncio.gather(*watched, return_exceptions=True)
    outcome.seconds = seconds
    return outcome


async def _log_in(http: httpx.AsyncClient, name: str, password: str) -> None:
    await http.get("/login/")
    form = {"username": name, "password": password, "csrfmiddlewaretoken": http.cookies["csrftoken"]}
    answer = await http.post("/login/", data=form, headers={"Referer": f"{http.base_url}/login/"})
    if answer.status_code != 302:
        raise SystemExit(f"the log-in of {name} was refused")


async def _watch(http: httpx.AsyncClient, path: str, until: float, outcome: Outcome) -> None:
    """As a browser does: when a stream ends, it asks again."""
    while time.monotonic() < until:
        try:
            async with http.stream("GET", f"/operator/live/{path}") as stream:
                if stream.status_code != 200:
                    outcome.troubles.append(f"{path}: {stream.status_code}")
                    return
                await _listen(stream, path, outcome)
        except httpx.TransportError as error:
            outcome.troubles.append(f"{path}: {type(error).__name__}")
        outcome.reconnects += 1
        await asyncio.sleep(1)


async def _listen(stream: httpx.Response, path: str, outcome: Outcome) -> None:
    kind = ""
    async for line in stream.aiter_lines():
        outcome.bytes += len(line)
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: ") and kind == "trouble":
            outcome.troubles.append(f"{path}: {json.loads(line[6:])['message']}")
        elif line.startswith("data: "):
            outcome.readings += 1
            at = datetime.fromisoformat(line[6:60].split('"')[3])
            outcome.late_s.append((datetime.now(UTC) - at).total_seconds())


async def _measure(top: psutil.Process, seconds: float, outcome: Outcome, tell: Callable[[Sample], None]) -> None:
    began, before = time.monotonic(), _cpu_s(top)
    last = began
    while (now := time.monotonic()) - began < seconds:
        await asyncio.sleep(min(EVERY_S, began + seconds - now))
        spent, at = _cpu_s(top), time.monotonic()
        sample = Sample(at - began, (spent - before) / (at - last), _rss_mb(top))
        before, last = spent, at
        outcome.samples.append(sample)
        tell(sample)


def _family(top: psutil.Process) -> list[psutil.Process]:
    return [top, *top.children(recursive=True)]


def _cpu_s(top: psutil.Process) -> float:
    return sum(one.cpu_times().user + one.cpu_times().system for one in _family(top))


def _rss_mb(top: psutil.Process) -> float:
    return sum(one.memory_info().rss for one in _family(top)) / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", default=os.environ.get("TALLYWATT_BENCH_PASSWORD", ""))
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--paths", nargs="*", default=PATHS)
    asked = parser.parse_args()
    print(f"{'seconds':>8} {'cores':>6} {'MB':>7}")
    found = dashboards(
        asked.url,
        (asked.user, asked.password),
        asked.pid,
        clients=asked.clients,
        minutes=asked.minutes,
        paths=asked.paths,
        tell=lambda one: print(f"{one.at_s:8.0f} {one.cores:6.2f} {one.rss_mb:7.0f}", flush=True),
    )
    rate = found.readings / found.seconds
    print(
        f"{found.clients} streams: {found.cores:.2f} cores, memory {found.growth_mb:+.1f} MB, {rate:.0f} readings/s, "
        f"{found.bytes / found.seconds / 1024:.0f} KiB/s, p95 age on arrival {found.late_p95_s:.2f} s, "
        f"{found.reconnects} reconnects, {len(found.troubles)} troubles"
    )
    for text in sorted(set(found.troubles))[:10]:
        print("  ", text)
    return 0 if found.cores < 1 and not found.troubles else 1


if __name__ == "__main__":
    sys.exit(main())
