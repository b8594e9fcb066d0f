"""Which engines leak now, and since when: a state that follows from the hours alone, so that everybody who asks gets the same. Pure.

An hour is judged if it is complete and large enough. An engine is on alert while its latest judged hour is above the threshold, since the
first hour of that unbroken run. Hours that are not judged neither end a run nor begin one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.telemetry.reconciliation.hours import EngineHour, Leakage, leakage

UNBILLED, PHANTOM = "unbilled", "phantom"
KINDS = (UNBILLED, PHANTOM)
RECENT = timedelta(hours=6)  # a verdict that is older says nothing of now
Engine = tuple[str, str]


@dataclass(frozen=True)
class Threshold:
    """Alert above `share`. An hour in which neither side has `min_tokens` is not judged: requests in flight at its edges would be too
    much of it."""

    share: float
    min_tokens: int

    def judges(self, hour: EngineHour) -> bool:
        return not hour.incomplete and max(hour.engine_side.tokens, hour.event_side.tokens) >= self.min_tokens


@dataclass(frozen=True)
class LeakageAlert:
    """One engine above the threshold. `found`: the judged hours from `since` to `until` together.

    `since_before`: the run reaches back to where reading began, so it may be older than `since`.
    """

    node: str
    engine: str
    model: str
    kind: str
    since: datetime
    until: datetime
    since_before: bool
    found: Leakage

    @property
    def share(self) -> float:
        return share(self.found, self.kind)

    @property
    def tokens(self) -> float:
        return (self.found.unbilled if self.kind == UNBILLED else self.found.phantom).tokens


@dataclass(frozen=True)
class Unjudged:
    """An engine that did something in the last hours of which none could be judged. `found` says why."""

    node: str
    engine: str
    model: str
    found: Leakage


def alerts(hours: Iterable[EngineHour], threshold: Threshold, start: datetime, end: datetime) -> list[LeakageAlert]:
    """Those of `[start, end)`, the largest share first."""
    found = []
    for mine in by_engine(hours):
        judged = [hour for hour in mine if threshold.judges(hour)]
        for kind in KINDS:
            run = _run(judged, kind, threshold.share)
            if run and run[-1].end > end - RECENT:
                last = run[-1]
                before = run[0] is judged[0] and mine[0].start <= start
                found.append(
                    LeakageAlert(last.node, last.engine, last.model, kind, run[0].start, last.end, before, leakage(run))
                )
    return sorted(found, key=lambda one: (-one.share, one.node, one.engine, one.kind))


def unjudged(hours: Iterable[EngineHour], threshold: Threshold, end: datetime) -> list[Unjudged]:
    """Engines that were busy enough in the last hours before `end`, all of whose busy hours are incomplete."""
    found = []
    for mine in by_engine(hour for hour in hours if hour.end > end - RECENT):
        busy = [hour for hour in mine if _tokens(hour) >= threshold.min_tokens]
        if busy and not any(threshold.judges(hour) for hour in busy):
            last = busy[-1]
            found.append(Unjudged(last.node, last.engine, last.model, leakage(busy)))
    return found


def leaking_throughout(hours: Iterable[EngineHour], threshold: Threshold) -> set[Engine]:
    """The engines all of whose judged hours are above the threshold in some way: since when, only earlier hours can tell."""
    found = set()
    for mine in by_engine(hours):
        judged = [hour for hour in mine if threshold.judges(hour)]
        if judged and any(len(_run(judged, kind, threshold.share)) == len(judged) for kind in KINDS):
            found.add((mine[0].node, mine[0].engine))
    return found


def by_engine(hours: Iterable[EngineHour]) -> list[list[EngineHour]]:
    """The hours of each engine, in order of time; the engines in order of their names."""
    found: defaultdict[Engine, list[EngineHour]] = defaultdict(list)
    for hour in hours:
        found[hour.node, hour.engine].append(hour)
    return [sorted(found[engine], key=lambda hour: hour.start) for engine in sorted(found)]


def share(of: Leakage, kind: str) -> float:
    """0 where there is nothing to have a share of."""
    return (of.unbilled_share if kind == UNBILLED else of.phantom_share) or 0.0


def _run(judged: Sequence[EngineHour], kind: str, above: float) -> list[EngineHour]:
    """The hours at the end that are all above the threshold."""
    run: list[EngineHour] = []
    for hour in reversed(judged):
        if _share(hour, kind) <= above:
            break
        run.insert(0, hour)
    return run


def _share(hour: EngineHour, kind: str) -> float:
    """As `share` of the leakage of this complete hour."""
    one, other = (hour.engine_side, hour.event_side)[:: 1 if kind == UNBILLED else -1]
    lost = max(one.input - other.input, 0.0) + max(one.output - other.output, 0.0)
    return lost / one.tokens if one.tokens > 0 else 0.0


def _tokens(hour: EngineHour) -> float:
    return max(hour.engine_side.tokens, hour.event_side.tokens)
