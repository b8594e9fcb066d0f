"""Killing the services of a running stack as the plan says, and letting the senders on only as far as the next blow."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.plan import Blow
from tests.chaos.sending import Road, Tally
from tests.journeys.stack import RunningStack

BACK_WITHIN_S = 120
FULL_WITHIN_S = 120
SEAL_EVERY = 4  # blows


@dataclass
class Damage:
    """What was done to the stack."""

    kills: Counter[str] = field(default_factory=Counter)
    found_dead: Counter[str] = field(default_factory=Counter)  # nobody killed it: it ended when another was killed
    wiped: int = 0
    frozen_s: float = 0.0
    seals: Counter[str] = field(default_factory=Counter)
    never_full: bool = False


class Conductor:
    """Carries the blows out, in order. `stopped` tells when time is up."""

    def __init__(self, stack: RunningStack, road: Road, tally: Tally, stopped: Callable[[], bool]) -> None:
        self.stack, self.road, self.tally, self.stopped = stack, road, tally, stopped
        self.damage = Damage()
        self._seals: list[subprocess.Popen[str]] = []

    def carry_out(self, blows: list[Blow]) -> None:
        """Returns when all blows have fallen, everything runs again and every job may be sent."""
        ends = [blow.at for blow in blows[1:]] + [self.road.count]
        self.road.open_to(blows[0].at if blows else self.road.count)
        for number, (blow, end) in enumerate(zip(blows, ends, strict=True)):
            self._wait(lambda place=blow.at: self.road.reached(place), BACK_WITHIN_S * 5, f"job {blow.at} is reached")
            self.road.open_to(self.road.count if blow.freeze else end)
            if number % SEAL_EVERY == SEAL_EVERY - 1:
                self._seal_meanwhile()
            time.sleep(blow.delay_s)
            if blow.freeze:
                self._freeze_until_full()
            self._strike(blow)
            self.road.open_to(end)
        self.road.open_to(self.road.count)

    def finish(self) -> None:
        """Wait for the seals that were started on the way, and count how they ended."""
        for process in self._seals:
            process.communicate(timeout=120)
            self.damage.seals["done" if process.returncode == 0 else "failed"] += 1

    def _strike(self, blow: Blow) -> None:
        old = {service: self._kill(service, session=blow.session) for service in blow.services}
        for service, pid in old.items():
            self._wait_for_another(service, pid)

    def _kill(self, service: str, *, session: bool) -> int:
        """Kill the service, and return who it was. One that went down by itself is killed once it is back."""
        while True:
            pid = self.stack.pids[service]
            try:
                (os.killpg if session else os.kill)(pid, signal.SIGKILL)
                break
            except ProcessLookupError:
                self.damage.found_dead[service] += 1
                self._wait_for_another(service, pid)
        self.damage.kills[service] += 1
        if service == "redis":
            self._wipe(self.stack.data_dir / "redis")
        return pid

    def _wait_for_another(self, service: str, pid: int) -> None:
        self._wait(lambda: self.stack.pids[service] != pid, BACK_WITHIN_S, f"{service} runs again")

    def _wipe(self, folder: Path) -> None:
        """Everything that Redis would read when it starts; the supervisor waits for at least a second before that."""
        time.sleep(0.1)
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix in {".aof", ".rdb"}:
                path.unlink()
                self.damage.wiped += 1

    def _freeze_until_full(self) -> None:
        """ClickHouse stops answering without dying: the spool grows until a sender is told so. The caller kills it then."""
        clock = time.monotonic()
        before = self.tally.spool_full
        os.kill(self.stack.pids["clickhouse"], signal.SIGSTOP)
        try:
            self._wait(lambda: self.tally.spool_full > before or self.road.finished, FULL_WITHIN_S, "the spool is full")
        finally:
            self.damage.frozen_s += time.monotonic() - clock
            self.damage.never_full = self.tally.spool_full == before

    def _seal_meanwhile(self) -> None:
        """A seal in the middle of it all. It may fail: ClickHouse or PostgreSQL may go away under it."""
        self._seals.append(self.stack.spawn("seal", "--now", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _wait(self, what: Callable[[], bool], within_s: float, title: str) -> None:
        def over() -> bool:
            if self.stopped():
                raise TimeoutError(f"time is up while waiting: {title}")
            return what()

        self.stack.wait_for(over, within_s, title)

    def thaw(self) -> None:
        """Whatever happened: no process stays stopped."""
        with suppress(ProcessLookupError):
            os.kill(self.stack.pids["clickhouse"], signal.SIGCONT)
