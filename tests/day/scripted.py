"""The day that is simulated: who aborts, what binds when, and which event is withheld."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metering.simulator.plan import Plan
from metering.simulator.provider import day_plan
from metering.simulator.script import Change

HOUR_S, MINUTE_S = 3600.0, 60.0
NODE, ENGINE, MODEL = "gpu-01", "llama-3.3-70b-0", "llama-3.3-70b"
# Counters and events differ by some hundred to ten thousand tokens at any moment, as an event spreads its output evenly and the engine does
# not. One request stands out on an engine whose answers are short, and whose batches are no larger than these have.
WITHHELD_NODE, WITHHELD_MODEL, WITHHELD_TOKENS = "gpu-03", "llama-3.1-8b", 2_500
PHASE_S = 20 * MINUTE_S
RECOVERY_S = 30 * MINUTE_S  # what has piled up in a phase binds on while it drains
WITHHELD_HOUR = 1  # of the run: nobody aborts in it, so that what is missing is the withheld event alone


@dataclass(frozen=True)
class Phase:
    """`constraint` is to bind ENGINE on NODE from `start_s` to `end_s`; others of its model or node may be bound as well."""

    constraint: str
    start_s: float
    change: Change

    @property
    def end_s(self) -> float:
        return self.start_s + PHASE_S


def phases(hours: float) -> tuple[Phase, ...]:
    """One after the other, with time between them for what has piled up."""
    kv, power, queue = (round(share * hours) * HOUR_S for share in (0.35, 0.5, 0.65))
    return (
        Phase("kv_cache", kv, Change("kv_capacity", MODEL, kv, kv + PHASE_S, 0.03)),
        Phase("power", power, Change("power_cap", NODE, power, power + PHASE_S, 250.0)),
        Phase("queue", queue, Change("max_sequences", MODEL, queue, queue + PHASE_S, 6.0)),
    )


def plan(start_ms: int, hours: float, *, seed: int, scale: float) -> Plan:
    quiet = Change("aborted", "*", WITHHELD_HOUR * HOUR_S, (WITHHELD_HOUR + 1) * HOUR_S, 0.0)
    changes = (quiet, *(phase.change for phase in phases(hours)))
    return day_plan(start_ms, seed=seed, scale=scale, changes=changes)


class Withholding:
    """Withholds one event: the first of WITHHELD_MODEL on WITHHELD_NODE with much output that ended in the middle of WITHHELD_HOUR."""

    def __init__(self, start_ms: int) -> None:
        self._from_ms = start_ms + (WITHHELD_HOUR + 0.4) * HOUR_S * 1000
        self.event: Mapping[str, Any] | None = None

    def __call__(self, event: Mapping[str, Any], ended_ms: int) -> bool:
        """Whether this event is to be withheld. `ended_ms`: when its request ended, milliseconds since 1970."""
        long = event["status"] == "ok" and event["output_tokens"] > WITHHELD_TOKENS
        here = (event.get("node"), event["model"]) == (WITHHELD_NODE, WITHHELD_MODEL)
        if self.event is not None or not here or not long or ended_ms < self._from_ms:
            return False
        self.event = event
        return True
