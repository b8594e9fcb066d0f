"""Not waiting longer than a test needs to."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tallywatt.options import Options
from tallywatt.pace import Pace


def until(what: Callable[[], Any], within_s: float = 15.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < give_up_at, "it took too long"
        time.sleep(0.005)


def quick(options: Options, **others: Any) -> Options:
    """The same, with the waits of a test."""
    waits: dict[str, Any] = {
        "batch_age_s": 0.02,
        "retry_first_s": 0.02,
        "retry_longest_s": 0.05,
        "refused_wait_s": 0.2,
        "pace": Pace(),
    }
    return replace(options, **waits | others)
