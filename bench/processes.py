"""Memory and CPU time of the stack's processes, by role, as the operating system counts them."""

import threading
from dataclasses import dataclass, field

import psutil

ROLES = {
    "web": "granian",
    "worker": " worker ",
    "beat": " beat ",
    "clickhouse": "clickhouse",
    "postgres": "postgres",
    "redis": "redis-server",
    "up": "manage.py up",
}


@dataclass
class Usage:
    """CPU seconds and the largest resident set over the time watched, by role."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)


class Watch:
    """`with Watch(pid) as usage:` follows all descendants of `up`."""

    def __init__(self, up_pid: int) -> None:
        self._up = psutil.Process(up_pid)
        self._done = threading.Event()
        self._usage = Usage()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Usage:
        self._before = self._cpu()
        self._thread.start()
        return self._usage

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for role, seconds in self._cpu().items():
            self._usage.cpu_s[role] = seconds - self._before.get(role, 0.0)

    def _follow(self) -> None:
        while not self._done.wait(0.5):
            found: dict[str, float] = {}
            for role, process in self._processes():
                try:
                    found[role] = found.get(role, 0.0) + process.memory_info().rss / 2**20
                except psutil.NoSuchProcess:
                    continue
            for role, megabytes in found.items():
                self._usage.peak_mb[role] = max(megabytes, self._usage.peak_mb.get(role, 0.0))

    def _cpu(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for role, process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            found[role] = found.get(role, 0.0) + times.user + times.system
        return found

    def _processes(self) -> list[tuple[str, psutil.Process]]:
        found = []
        for process in (self._up, *self._up.children(recursive=True)):
            try:
                line = f" {' '.join(process.cmdline())} "
            except psutil.NoSuchProcess:
                continue
            found.append((next((role for role, word in ROLES.items() if word in line), "other"), process))
        return found


def web_process(up_pid: int) -> int:
    """The pid of the web server below `manage.py up`, which serves by children of its own. Raises RuntimeError if it does not run."""
    for process in psutil.Process(up_pid).children():
        if ROLES["web"] in " ".join(process.cmdline()):
            return process.pid
    raise RuntimeError("no web process below manage.py up")
