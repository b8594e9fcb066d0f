"""Filling the tables once, step by step."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.month import Month, energy, month, requests, telemetry

STEPS: tuple[tuple[str, Callable[[Month], None]], ...] = (
    ("requests and ledger", requests.fill),
    ("telemetry", telemetry.fill),
    ("energy", energy.fill),
)


def fill_once(data_dir: Path) -> Iterator[tuple[str, float]]:
    """Yields each step with its seconds. What has been filled into `data_dir` before is left as it is."""
    found = month()
    for name, fill in STEPS:
        done = data_dir / f"filled-{name.replace(' ', '-')}"
        if done.exists():
            continue
        started = time.monotonic()
        fill(found)
        done.touch()
        yield name, time.monotonic() - started
