"""Filling the tables step by step, and filling them up where they were kept from an earlier run."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.month import Month, energy, month, requests, telemetry

STEPS: tuple[tuple[str, Callable[[Month], None]], ...] = (
    ("requests and ledger", requests.fill),
    ("telemetry", telemetry.fill),
    ("energy", energy.fill),
)

# What is kept need not be filled up if it lasts for as long as pages are timed.
ENOUGH_S = 3600


def fill_up(data_dir: Path) -> Iterator[tuple[str, float]]:
    """Yields each step that had something to do, with its seconds. A file in `data_dir` per step says until when it has been filled."""
    whole = month()
    for name, fill in STEPS:
        done = data_dir / f"filled-{name.replace(' ', '-')}"
        part = whole.after(int(done.read_text())) if done.exists() else whole
        if part.now.timestamp() + ENOUGH_S < part.start_s:
            continue
        started = time.monotonic()
        fill(part)
        done.write_text(str(part.end_s))
        yield name, time.monotonic() - started
    telemetry.trim()
    energy.add_up(whole)
