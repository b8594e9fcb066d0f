"""Measures of objectives: how fast an error budget burns, and what is left of it."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from metering.alerts.readings.asked import ALL, Asked, Found, Points, Values
from metering.models import Objective
from metering.objectives.states import (
    BURN_RULES,
    BURN_WINDOWS,
    ObjectiveState,
    ObjectiveStep,
    objective_states,
    objectives_steps,
)

# By the long window of a rule: the two over which it looks, the short one first.
PAIRS = {rule.long: (rule.short, rule.long) for rule in BURN_RULES}
FINEST = timedelta(minutes=5)


def burn_now(now: datetime, asked: Asked) -> Values:
    """The lower of the burn rates of the two windows: above a threshold where both are."""
    pair = PAIRS[asked.window or "1h"]
    found = {state.name: _lower([state.burn(name) for name in pair]) for state in _states(now, asked)}
    return found if asked.group else _worst(found, max)


def left_now(now: datetime, asked: Asked) -> Values:
    found = {state.name: state.budget_left for state in _states(now, asked)}
    return found if asked.group else _worst(found, min)


def burn_history(asked: Asked) -> Found:
    """The same of each step of the past, from the counts of its minutes."""
    pair = [BURN_WINDOWS[name] for name in PAIRS[asked.window or "1h"]]
    step = min(asked.step, FINEST)
    start = datetime.fromtimestamp(asked.start.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    targets = {row.name: float(row.target) for row in _rows(asked)}
    steps = objectives_steps(list(targets), start - pair[1], step, asked.end)
    every, skipped = asked.step // step, pair[1] // step
    found = {
        name: _burnt(counted, targets[name], [one // step for one in pair])[skipped::every]
        for name, counted in steps.items()
    }
    if asked.group or not found:
        return found
    return {
        ALL: [(points[0][0], _highest([value for _, value in points])) for points in zip(*found.values(), strict=True)]
    }


def _burnt(steps: list[ObjectiveStep], target: float, lengths: list[int]) -> Points:
    """After each step, the lower burn rate of windows of these lengths (in steps)."""
    good = [0, *accumulate(step.tally.good if step.tally else 0 for step in steps)]
    total = [0, *accumulate(step.tally.total if step.tally else 0 for step in steps)]

    def burn(end: int, length: int) -> float | None:
        begin = max(end - length, 0)
        counted = total[end] - total[begin]
        return (counted - (good[end] - good[begin])) / counted / (1 - target) if counted else None

    return [(step.start, _lower([burn(at, length) for length in lengths])) for at, step in enumerate(steps, 1)]


def _states(now: datetime, asked: Asked) -> list[ObjectiveState]:
    named = asked.only.get("objective")
    return [state for state in objective_states(now.astimezone(UTC)) if named in (None, state.name)]


def _rows(asked: Asked) -> list[Objective]:
    rows = Objective.objects.all()
    return list(rows.filter(name=asked.only["objective"]) if "objective" in asked.only else rows)


def _lower(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _highest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _worst(found: Values, of: object) -> Values:
    known = [value for value in found.values() if value is not None]
    return {ALL: (max if of is max else min)(known) if known else None} if found else {}
