"""One chaos run from the start of a stack to the comparison with the oracle."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.bodies import FORMATS
from tests.chaos.events import NO_TIME
from tests.chaos.killing import Conductor
from tests.chaos.plan import Plan, planned
from tests.chaos.sending import Road, Sender, Tally
from tests.journeys.stack import ROOT, RunningStack

SENDERS = 4
LATE_MS = 3_600_000
DRAINED_WITHIN_S = 180


@dataclass(frozen=True)
class Options:
    """`at_ms`: the moment around which the events' times lie. With the same seed and moment a run sends the same bytes."""

    events: int = 1_000_000
    kills: int = 24
    seed: int = 1
    timeout_s: float = 1500
    formats: tuple[str, ...] = tuple(FORMATS)
    at_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def spool_max_bytes(self) -> int:
        """Small enough to be full while ClickHouse does not answer for a part of the run."""
        return max(2 * 2**20, min(24 * 2**20, self.events * 40))


@dataclass
class Report:
    """Every count of a run, in the order in which it is printed, and what is wrong."""

    counts: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run(options: Options, data_dir: Path, say: Callable[[str], None]) -> Report:
    """Start a stack on `data_dir`, send, kill, seal, compare. The stack is stopped at the end whatever happens."""
    clock = time.monotonic()
    plan = planned(options.events, options.kills, options.seed, options.at_ms, options.formats)
    say(f"{len(plan.jobs)} requests with {plan.sent} events planned, {len(plan.blows)} blows")
    stack = RunningStack(data_dir, {"TALLYWATT_SPOOL_MAX_BYTES": str(options.spool_max_bytes)})
    try:
        report = _ordeal(options, plan, stack, clock + options.timeout_s, say)
    finally:
        stack.stop()
    report.counts["seconds"] = round(time.monotonic() - clock)
    return report


def _ordeal(options: Options, plan: Plan, stack: RunningStack, deadline: float, say: Callable[[str], None]) -> Report:
    road, tally = Road(len(plan.jobs)), Tally()
    conductor = Conductor(stack, road, tally, lambda: time.monotonic() > deadline)
    keys = inside(stack, "accounts")
    senders = [Sender(stack.port, keys, plan.jobs, road, tally) for _ in range(SENDERS)]
    teller = _Teller(road, tally, conductor, say)
    clock = time.monotonic()
    wrong: list[str] = []
    try:
        for thread in (*senders, teller):
            thread.start()
        conductor.carry_out(plan.blows)
        while not road.finished and time.monotonic() < deadline:
            time.sleep(0.2)
    except (AssertionError, TimeoutError, OSError) as error:
        wrong.append(f"the run was cut short: {error}")
    finally:
        conductor.thaw()
        road.stop()
        teller.stop()
    sending_s = time.monotonic() - clock
    if not road.finished:
        wrong.append(f"{road.count - tally.acknowledged_jobs} of {road.count} requests were never acknowledged")
    for sender in senders:
        sender.join(60)
    say(f"all sent after {sending_s:.0f} s; draining and sealing")
    found = {}
    if not wrong:
        try:
            found = _settled(stack, conductor)
        except AssertionError as error:
            wrong.append(f"not drained and sealed: {error}")
    return _report(options, plan, tally, conductor, found, wrong, sending_s)


def _settled(stack: RunningStack, conductor: Conductor) -> dict[str, Any]:
    """Everything inserted, everything sealed: then what the stack holds."""
    conductor.finish()
    spool = stack.data_dir / "spool"
    stack.wait_for(
        lambda: not any((spool / "ready").iterdir()) and not any((spool / "groups").glob("*.json")),
        DRAINED_WITHIN_S,
        "the spool is drained",
    )
    _seal(stack)
    return dict(inside(stack, "found"))


def _seal(stack: RunningStack) -> None:
    """`seal --now`, once the worker's own seal of this minute is done."""
    deadline = time.monotonic() + DRAINED_WITHIN_S
    while (done := stack.run("seal", "--now")).returncode:
        assert "another process is sealing" in done.stderr, done.stderr
        assert time.monotonic() < deadline, f"not sealed: {done.stderr}"
        time.sleep(1)


def inside(stack: RunningStack, command: str) -> Any:
    """Run `tests.chaos.inside` in the surroundings of the stack; what it prints, as JSON."""
    words = [sys.executable, "-m", "tests.chaos.inside", command]
    environment = stack.environment | {"TALLYWATT_DATA_DIR": str(stack.data_dir)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


class _Teller(threading.Thread):
    """Says how far it is, every few seconds."""

    def __init__(self, road: Road, tally: Tally, conductor: Conductor, say: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self._road, self._tally, self._conductor, self._say = road, tally, conductor, say
        self._end = threading.Event()

    def stop(self) -> None:
        self._end.set()

    def run(self) -> None:
        clock = time.monotonic()
        while not self._end.wait(10):
            self._say(
                f"{time.monotonic() - clock:5.0f} s: {self._tally.acknowledged_jobs}/{self._road.count} requests, "
                f"{self._tally.acknowledged_events} events acknowledged, "
                f"answers {dict(sorted(self._tally.answers.items()))}, kills {dict(self._conductor.damage.kills)}"
            )


def _report(
    options: Options,
    plan: Plan,
    tally: Tally,
    conductor: Conductor,
    found: dict[str, Any],
    wrong: list[str],
    sending_s: float,
) -> Report:
    damage = conductor.damage
    by_reason = Counter(job.why for job in plan.jobs for _ in range(len(job.events)))
    retried = sum(tally.attempts.values()) - tally.acknowledged_jobs
    late = (plan.events.time_ms != NO_TIME) & (plan.events.time_ms < options.at_ms - LATE_MS)
    counts: dict[str, Any] = {
        "seed": options.seed,
        "at_ms": options.at_ms,
        "formats": ", ".join(options.formats),
        "identities": len(plan.events),
        "events sent": plan.sent,
        **{f"  {why}": number for why, number in sorted(by_reason.items())},
        "  invalid": plan.sent - sum(by_reason.values()),
        "identities late by more than an hour": int(late.sum()),
        "identities without a time": int((plan.events.time_ms == NO_TIME).sum()),
        "requests": len(plan.jobs),
        "requests acknowledged": tally.acknowledged_jobs,
        "events acknowledged": tally.acknowledged_events,
        "events refused with a reason": tally.refused_events,
        "requests retried": retried,
        "answers": dict(sorted(tally.answers.items())),
        "429 because the spool was full": tally.spool_full,
        "kills": sum(damage.kills.values()),
        **{f"  {service}": number for service, number in sorted(damage.kills.items())},
        "ended by themselves meanwhile": dict(damage.found_dead),
        "Redis files wiped": damage.wiped,
        "ClickHouse frozen, s": round(damage.frozen_s, 1),
        "seals meanwhile": dict(damage.seals),
        "sending, s": round(sending_s),
    }
    if damage.never_full:
        wrong.append("the spool was never full: no sender saw a 429")
    if found:
        counts |= _found_counts(found)
        wrong += oracle.differences(plan, found, _attempted(plan, tally))
    return Report(counts, wrong + tally.wrong)


def _attempted(plan: Plan, tally: Tally) -> int:
    return sum(count * len(plan.jobs[index].events) for index, count in tally.attempts.items())


def _found_counts(found: dict[str, Any]) -> dict[str, Any]:
    totals = [sum(row[place] for row in found["ledger"]) for place in range(2, 6)]
    return {
        "rows stored": sum(row[1] for row in found["stored"]),
        "live rollup, requests": sum(row[2] for row in found["rollup"]),
        "duplicates sealed": found["seals"]["duplicates"],
        "conflicts sealed": found["seals"]["conflicts"],
        "conflicts listed, distinct": len(found["conflicts"]),
        "invalid listed, distinct": len(found["quarantine"]),
        "seals completed": found["seals"]["completed"],
        "seals abandoned": found["seals"]["abandoned"],
        "files in the spool": found["spool"],
        "ledger: requests, input, output, cached": tuple(totals),
    }
