"""Boots a stack, sends a simulated day through the agents of its nodes, waits until all of it is worked up, and has it checked."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

from metering.simulator.agentpath import AgentPath, Destination
from metering.simulator.fleet import Fleet
from tests.day import scripted
from tests.journeys.stack import RunningStack

HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=12)  # energy is written ten minutes after its window
# Simulated and sent beyond the day's end: what was in flight then is told of by an event, too, and is no leak.
AFTER_MS = 10 * 60_000
FIT_WITHIN_S = 1200.0
FIT_TRIES, FIT_AGAIN_S = 12, 5.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    hours: int = 24
    seed: int = 1
    scale: float = 1.0


@dataclass(frozen=True)
class Day:
    """What was simulated. `start` and `end` are whole hours of UTC; `withheld` is the event that was not sent."""

    start: datetime
    end: datetime
    hours: int
    fleet: Fleet
    withheld: Mapping[str, Any]


@dataclass
class Report:
    """Counts by name, and what is wrong, in words."""

    counts: dict[str, object]
    wrong: list[str]


class WithholdingPath(AgentPath):
    """Sends all events but one."""

    def __init__(self, fleet: Fleet, destination: Destination, withholding: scripted.Withholding) -> None:
        super().__init__(fleet, destination)
        self._withholding = withholding

    def sends(self, event: Mapping[str, Any]) -> bool:
        ended = datetime.fromisoformat(event["time"])
        return not self._withholding(event, int(ended.timestamp() * 1000))


def run(options: Options, say: Say) -> Report:
    with tempfile.TemporaryDirectory(prefix="tallywatt-day-", ignore_cleanup_errors=True) as folder:
        say("starting a stack")
        stack = RunningStack(Path(folder) / "var")
        try:
            return _run(options, stack, Path(folder) / "agents", say)
        finally:
            stack.stop()


def _run(options: Options, stack: RunningStack, agents: Path, say: Say) -> Report:
    end = (datetime.now(UTC) - SETTLED).replace(minute=0, second=0, microsecond=0)
    start = end - options.hours * HOUR
    plan = scripted.plan(int(start.timestamp() * 1000), options.hours, seed=options.seed, scale=options.scale)
    for tenant in plan.tenants:
        stack.manage("create_tenant", tenant.key)
    began = time.monotonic()
    day, sent = _simulate(options, Fleet(plan), (start, end), _destination(stack, agents), say)
    sent_s = time.monotonic() - began
    os.environ["TALLYWATT_DATA_DIR"] = str(stack.data_dir)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from tests.day import checks, waiting  # they look into the stack's databases

    say(f"{sent['samples']} samples and {sent['events']} events were sent in {sent_s:.0f} s; they are worked up")
    worked_up_s = waiting.until_worked_up(day.end, say)
    say("coefficients are fitted, and the windows computed anew with them")
    fitted = _fit(stack, day)
    report = checks.check(day)
    times = {"sent in, s": round(sent_s), "worked up in, s": round(worked_up_s)}
    return Report(sent | times | {"coefficients": fitted} | report.counts, report.wrong)


def _destination(stack: RunningStack, agents: Path) -> Destination:
    """Simulated time runs some hundred times as fast as the clock, so more travels together."""
    return Destination(url=stack.url, key=stack.key, folder=agents, interval_s=15, events_every_s=600)


def _simulate(
    options: Options, fleet: Fleet, bounds: tuple[datetime, datetime], destination: Destination, say: Say
) -> tuple[Day, dict[str, object]]:
    withholding = scripted.Withholding(fleet.plan.start_ms)
    with WithholdingPath(fleet, destination, withholding) as path:
        for hour in range(1, options.hours + 1):
            sent = path.run(fleet.plan.start_ms + hour * 3_600_000)
            say(f"hour {hour} of {options.hours}: {sent.samples} samples, {sent.events} events")
        sent = path.run(fleet.plan.start_ms + options.hours * 3_600_000 + AFTER_MS)
        path.flush()
    if withholding.event is None:
        raise RuntimeError("this day has no event of the kind that is to be withheld: take another seed")
    return Day(*bounds, options.hours, fleet, withholding.event), {"samples": sent.samples, "events": sent.events}


def _fit(stack: RunningStack, day: Day) -> str:
    """As an operator would who has history before the first fit."""
    start, end = day.start.isoformat(), day.end.isoformat()
    words = ("fit_energy", "--from", start, "--to", end, "--effective-from", start, "--rewrite")
    for _ in range(FIT_TRIES):
        process = stack.spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=FIT_WITHIN_S)
        if not process.returncode:
            return "\n" + out.strip()
        if "try again in a moment" not in err:  # a minute after the day's end is just being worked up
            break
        time.sleep(FIT_AGAIN_S)
    raise RuntimeError(f"fit_energy: {err[-2000:]}")
