"""Working up telemetry: every step's minutes that are due, in order, by one process at a time."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from metering.advisory import advisory_lock
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.clickhouse.queries.telemetry_arrivals import ENGINES, GPUS
from metering.telemetry import progress, rollups, step_rollups
from metering.telemetry.energy import writing
from metering.telemetry.spans import Span
from metering.telemetry.steps import Step

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x7A11_0003  # one process at a time over all hosts
BUDGET_S = 20.0  # a step starts no further block after this
CATCH_UP_S = 5.0

STEPS: tuple[Step, ...] = (
    Step("rollups", timedelta(seconds=30), rollups.write, (GPUS, ENGINES)),
    Step(
        "energy",
        settings.ENERGY_SETTLE,
        writing.write,
        reach_back=writing.reach(),
        reach_forward=writing.reach(),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """Minutes that a step wrote in this run, how many still wait, and how many blocks failed."""

    written: int = 0
    left: int = 0
    failed: int = 0


def run(*, budget_s: float = BUDGET_S, steps: tuple[Step, ...] | None = None) -> dict[str, Outcome]:
    """One run of all steps, by name; nothing at all if another process is at it.

    A block that fails is logged and stays due. Raises ClickHouseUnavailable.
    """
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            return {}
        found = {step.name: _run(step, budget_s) for step in steps or STEPS}
        if steps is None:
            _catch_up()
        return found


def _catch_up() -> None:
    try:
        step_rollups.catch_up(budget_s=CATCH_UP_S)
    except ClickHouseRefused:
        logger.exception("telemetry: older minutes cannot be added up, and stay due")


def _run(step: Step, budget_s: float) -> Outcome:
    deadline = time.monotonic() + budget_s
    written = failed = 0
    for block in _due(step):
        if (written or failed) and time.monotonic() >= deadline:
            break
        if _write(step, block):
            progress.done(step.name, block)
            written += block.minutes
        else:
            failed += 1
    return Outcome(written, progress.left(step.name), failed)


def _due(step: Step) -> list[Span]:
    """None if that cannot be said: a step in trouble does not keep the others from their work."""
    try:
        return list(progress.due(step))
    except ClickHouseRefused:
        logger.exception("telemetry: what is due of %s cannot be told", step.name)
        return []


def _write(step: Step, block: Span) -> bool:
    try:
        step.write(block)
    except ClickHouseUnavailable:
        raise
    except Exception:
        logger.exception("telemetry: %s of %s to %s failed and stays due", step.name, block.start, block.end)
        return False
    return True
