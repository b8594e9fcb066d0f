"""An engine's hour: what it counted, what events say of it, and whether the two can be compared. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)
WINDOWS_AN_HOUR = 60
NO_GAP_S = 0.01  # less than this is not a gap but the arithmetic of one


class Incomplete(StrEnum):
    """Why an hour is not compared. All reasons that hold are named."""

    RESTART = "restart"  # the engine's counters began anew: what it counted last before that nobody has read
    SAMPLES = "missing_samples"  # some of the hour lies between two samples too far apart, or the engine did not answer
    WINDOWS = "missing_windows"  # the engine came, went or was not seen for some minutes of the hour
    OPEN = "open"  # not all of the hour is settled yet


@dataclass(frozen=True)
class Counted:
    """Tokens and requests as one side has them. Tokens are spread over minutes, so they have fractions.

    `input` includes `cached`: senders of events often do not know what came out of the cache (vLLM's spans do not say), and a share
    that one side calls cached and the other computed is no leak.
    """

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0
    requests: float = 0.0

    @property
    def tokens(self) -> float:
        return self.input + self.output

    def __add__(self, other: "Counted") -> "Counted":
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Counted(*(mine + its for mine, its in pairs))


@dataclass(frozen=True)
class EngineHour:
    """`[start, start + 1 h)` of one engine. `aborted`: of the engine's requests, those that it gave up on (the client went away)."""

    start: datetime
    node: str
    engine: str
    model: str
    region: str
    engine_side: Counted
    event_side: Counted
    aborted: float = 0.0
    incomplete: tuple[Incomplete, ...] = ()
    simulated: bool = False

    @property
    def end(self) -> datetime:
        return self.start + HOUR


@dataclass(frozen=True)
class Leakage:
    """Complete engine hours together; `incomplete_hours` are those left out, `reasons` how many of them each reason holds for.

    Unbilled: what engines counted and no event accounts for. Phantom: what events say and no engine counted.
    """

    hours: int = 0
    incomplete_hours: int = 0
    reasons: tuple[tuple[Incomplete, int], ...] = ()
    engine_side: Counted = Counted()
    event_side: Counted = Counted()
    unbilled: Counted = Counted()
    phantom: Counted = Counted()
    aborted: float = 0.0
    simulated: bool = False

    @property
    def unbilled_share(self) -> float | None:
        """Of the tokens that engines counted; None without any."""
        return _share(self.unbilled.tokens, self.engine_side.tokens)

    @property
    def phantom_share(self) -> float | None:
        """Of the tokens that events say; None without any."""
        return _share(self.phantom.tokens, self.event_side.tokens)

    @property
    def unbilled_requests_share(self) -> float | None:
        return _share(self.unbilled.requests, self.engine_side.requests)

    @property
    def phantom_requests_share(self) -> float | None:
        return _share(self.phantom.requests, self.event_side.requests)


def leakage(hours: Iterable[EngineHour]) -> Leakage:
    """All of them together. An engine's shortage in one hour stays one, whatever excess another hour or engine has."""
    found = list(hours)
    complete = [hour for hour in found if not hour.incomplete]
    return Leakage(
        hours=len(complete),
        incomplete_hours=len(found) - len(complete),
        reasons=_reasons(found),
        engine_side=_sum(hour.engine_side for hour in complete),
        event_side=_sum(hour.event_side for hour in complete),
        unbilled=_sum(excess(hour.engine_side, hour.event_side) for hour in complete),
        phantom=_sum(excess(hour.event_side, hour.engine_side) for hour in complete),
        aborted=sum(hour.aborted for hour in complete),
        simulated=any(hour.simulated for hour in found),
    )


def together(sums: Iterable[Leakage]) -> Leakage:
    """Of disjoint hours."""
    found = list(sums)
    counts = [(reason, sum(dict(one.reasons).get(reason, 0) for one in found)) for reason in Incomplete]
    return Leakage(
        hours=sum(one.hours for one in found),
        incomplete_hours=sum(one.incomplete_hours for one in found),
        reasons=tuple((reason, count) for reason, count in counts if count),
        engine_side=_sum(one.engine_side for one in found),
        event_side=_sum(one.event_side for one in found),
        unbilled=_sum(one.unbilled for one in found),
        phantom=_sum(one.phantom for one in found),
        aborted=sum(one.aborted for one in found),
        simulated=any(one.simulated for one in found),
    )


def excess(of: Counted, over: Counted) -> Counted:
    """By how much each count of the one exceeds that of the other; 0 where it does not."""
    pairs = ((getattr(of, field.name), getattr(over, field.name)) for field in fields(Counted))
    return Counted(*(max(one - other, 0.0) for one, other in pairs))


def reasons_for(*, windows: int, restarts: int, gap_s: float, settled: bool) -> tuple[Incomplete, ...]:
    """What keeps an hour from being compared; () if nothing does. `gap_s`: seconds that no two neighbouring samples cover.

    An hour with all of its windows is compared even while some are worked up again for a late event.
    """
    held = {
        Incomplete.RESTART: restarts > 0,
        Incomplete.SAMPLES: gap_s > NO_GAP_S,
        Incomplete.WINDOWS: windows < WINDOWS_AN_HOUR and settled,
        Incomplete.OPEN: windows < WINDOWS_AN_HOUR and not settled,
    }
    return tuple(reason for reason, holds in held.items() if holds)


def _sum(sides: Iterable[Counted]) -> Counted:
    found = Counted()
    for side in sides:
        found += side
    return found


def _reasons(hours: Iterable[EngineHour]) -> tuple[tuple[Incomplete, int], ...]:
    named = [reason for hour in hours for reason in hour.incomplete]
    return tuple((reason, named.count(reason)) for reason in Incomplete if reason in named)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
