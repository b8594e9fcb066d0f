"""What a value does to a group of a rule: from well to pending to firing and back. Pure; times come from the caller."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FORGOTTEN = timedelta(hours=1)  # a group that fires and is heard of no more is let go after this
PENDING, FIRING = "pending", "firing"
CALMED, FIRED, RESOLVED = "calmed", "fired", "resolved"


@dataclass(frozen=True)
class Condition:
    """`absence`: having no value is what it waits for. Else a value beyond `threshold` is, and one at `clear` or on its good side
    ends it."""

    absence: bool
    above: bool
    threshold: float
    clear: float
    held_for: timedelta

    def holds(self, value: float | None) -> bool | None:
        """None: it cannot be told, for there is no value."""
        if self.absence:
            return value is None
        if value is None:
            return None
        return value > self.threshold if self.above else value < self.threshold

    def is_clear(self, value: float | None) -> bool:
        if self.absence:
            return value is not None
        if value is None:
            return False
        return value <= self.clear if self.above else value >= self.clear


@dataclass(frozen=True)
class Held:
    """A group that is not well. `seen_at`: when it last had a value."""

    state: str
    since: datetime
    seen_at: datetime
    value: float | None = None
    fired_at: datetime | None = None


def advance(held: Held | None, condition: Condition, value: float | None, now: datetime) -> tuple[Held | None, str]:
    """What is held from now on, and the transition: PENDING, CALMED (what was pending never fired), FIRED, RESOLVED or ''."""
    holds = condition.holds(value)
    if held is None or held.state == PENDING:
        return _begin(held, condition, value, now) if holds else (None, CALMED if held else "")
    seen = held.seen_at if value is None else now
    if condition.is_clear(value) or (not condition.absence and now - seen > FORGOTTEN):
        return None, RESOLVED
    return replace(held, value=held.value if value is None else value, seen_at=seen), ""


def _begin(held: Held | None, condition: Condition, value: float | None, now: datetime) -> tuple[Held, str]:
    since = held.since if held else now
    if now - since >= condition.held_for:
        return Held(FIRING, since, now, value, now), FIRED
    return Held(PENDING, since, now, value), "" if held else PENDING


def spans(
    condition: Condition, values: Iterable[tuple[datetime, float | None]]
) -> list[tuple[datetime, datetime | None]]:
    """When it would have fired, and when that would have ended, had these been the values. The last may not have ended."""
    held: Held | None = None
    found: list[tuple[datetime, datetime | None]] = []
    for at, value in values:
        held, transition = advance(held, condition, value, at)
        if transition == FIRED:
            found.append((at, None))
        elif transition == RESOLVED and found:
            found[-1] = (found[-1][0], at)
    return found
