"""The application's own processes, as `manage.py up` runs them: web, Celery worker and beat, and the demo's traffic."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metering.embedded.processes import ROOT, Child

STARTED_S = 40


@dataclass(frozen=True)
class Service:
    """A child with the test of whether it works, and what to say of it."""

    child: Child
    answers: Callable[[], bool]
    address: str


def web(data_dir: Path, port: int, env: Mapping[str, str]) -> Service:
    words = [sys.executable, "-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", str(port)]
    # One process: sessions, ingest and live streams share it on a laptop. Workers that die are started again by granian.
    words += [
        "--workers",
        "1",
        "--no-ws",
        "--respawn-failed-workers",
        "--workers-kill-timeout",
        "2",
        "config.asgi:application",
    ]
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return Service(_child("web", words, data_dir, env), answers, url)


def worker(data_dir: Path, env: Mapping[str, str]) -> Service:
    words = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "config",
        "worker",
        "--loglevel",
        "INFO",
        "--without-gossip",
        "--without-mingle",
    ]
    # Threads: the work is waiting for ClickHouse and PostgreSQL, and there are no pool processes to be left behind by a kill.
    words += ["--pool", "threads", "--concurrency", "4", "--hostname", "worker@tallywatt"]
    child = _child("worker", words, data_dir, env)
    return Service(child, _says(child, b" ready."), "celery")


def beat(data_dir: Path, env: Mapping[str, str]) -> Service:
    words = [sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO", "--pidfile="]
    words += ["--schedule", str(data_dir / "beat-schedule")]
    child = _child("beat", words, data_dir, env)
    return Service(child, _says(child, b"beat: Starting..."), "celery")


def demo_traffic(data_dir: Path, env: Mapping[str, str]) -> Service:
    words = [sys.executable, str(ROOT / "manage.py"), "demo", "traffic", "--data-dir", str(data_dir)]
    child = _child("traffic", words, data_dir, env)
    return Service(child, lambda: child.running, "demo data")


def _child(name: str, words: list[str], data_dir: Path, env: Mapping[str, str]) -> Child:
    return Child(name, words, log=data_dir / "logs" / f"{name}.log", env=env)


def _says(child: Child, text: bytes) -> Callable[[], bool]:
    """Whether the child's log has the line by which it says that it is up; only what was written since this start counts."""

    def said() -> bool:
        with child.log.open("rb") as log:
            log.seek(child.log_offset)
            return text in log.read()

    return said
