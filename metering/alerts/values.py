"""The values of a rule: of this moment, and over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from metering.alerts import samples
from metering.alerts.catalogue import CATALOGUE, Measure, measure
from metering.alerts.machine import Condition, spans
from metering.alerts.readings.asked import HOUR, MINUTE, Asked, Found, NotRead, Points, Read, Values
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.models import AlertRule

SCOPE = ("region", "cluster", "model", "tenant", "tier", "node", "engine", "objective")
KNOWN_FOR = timedelta(hours=24)  # a group that was there within a day is missed when it is not
MOST_GROUPS = 1000
# A back-test takes the finest steps that one answer can hold.
TRIED = (5 * MINUTE, 15 * MINUTE, HOUR)
UNREADABLE = (ClickHouseUnavailable, ClickHouseRefused, NotRead, ValueError, TimeoutError)
Spans = list[tuple[datetime, datetime | None]]


@dataclass
class Readings:
    """What this evaluation has read: rules that ask for the same are answered once. `live`: values that are kept nowhere else, by
    series."""

    now: datetime
    live: dict[str, Values] = field(default_factory=dict)
    _held: dict[object, Values] = field(default_factory=dict)

    def of(self, rule: AlertRule) -> Values:
        """The value of each group now. Raises what UNREADABLE names."""
        found, asked = measure(rule.measure), asked_by(rule)
        key = (found.key, asked.group, asked.window, tuple(sorted(asked.only.items())), rule.kind, rule.direction)
        if key not in self._held:
            self._held[key] = self._read(rule, found, asked)
        return self._held[key]

    def _read(self, rule: AlertRule, found: Measure, asked: Asked) -> Values:
        read = found.read
        if found.now is not None:
            values = found.now(self.now, asked)
            if read is None:
                self.live[samples.series(found.key, asked)] = values
        elif read is not None:
            values = _newest(found, read, asked, self.now)
            if _misses(rule, found) and asked.group:
                known = _known(found, read, asked, self.now)
                values = {**dict.fromkeys(known, 0.0 if found.counts else None), **values}
        else:
            raise ValueError(f"nothing reads {found.key}")
        if found.counts and rule.kind == AlertRule.Kind.ABSENCE:
            values = {name: value or None for name, value in values.items()}
        return dict(list(values.items())[:MOST_GROUPS])

    def baseline(self) -> None:
        """Also what no rule asks for, so that a rule made tomorrow can be tried on today: by what a measure has to be told by, or of
        all together."""
        for one in CATALOGUE.values():
            if one.now is None or one.read is not None:
                continue
            asked = Asked(self.now, self.now, group=one.dimensions[0] if len(one.dimensions) == 1 else "")
            if (name := samples.series(one.key, asked)) not in self.live:
                try:
                    self.live[name] = one.now(self.now, asked)
                except UNREADABLE:
                    continue  # a rule on it would say so; without one nobody waits for it


def asked_by(rule: AlertRule) -> Asked:
    """What a rule asks for, but for the time."""
    known = measure(rule.measure).dimensions
    only = {name: getattr(rule, name) for name in SCOPE if getattr(rule, name) and name in known}
    nothing = datetime.fromtimestamp(0, UTC)
    return Asked(nothing, nothing, group=rule.group_by, only=only, window=rule.window)


def condition_of(rule: AlertRule) -> Condition:
    threshold = 0.0 if rule.threshold is None else rule.threshold
    return Condition(
        absence=rule.kind == AlertRule.Kind.ABSENCE,
        above=rule.kind == AlertRule.Kind.BURN or rule.direction == AlertRule.Direction.ABOVE,
        threshold=threshold,
        clear=threshold if rule.clear is None else rule.clear,
        held_for=timedelta(minutes=rule.for_minutes),
    )


def worst_first(rule: AlertRule, values: Mapping[str, float | None]) -> list[tuple[str, float | None]]:
    """Those without a value last; of a rule on absence, first."""
    condition = condition_of(rule)
    known = sorted(
        ((name, value) for name, value in values.items() if value is not None),
        key=lambda one: (-one[1] if condition.above else one[1], one[0]),
    )
    missing = [(name, value) for name, value in sorted(values.items()) if value is None]
    return [*missing, *known] if condition.absence else [*known, *missing]


def history(rule: AlertRule, start: datetime, end: datetime, step: timedelta) -> Found:
    """The measure's values of each step by group. Raises what UNREADABLE names."""
    found = measure(rule.measure)
    step = max(step, found.step) if found.read else step
    size = step.total_seconds()
    first = datetime.fromtimestamp(start.timestamp() // size * size, UTC)
    asked = replace(asked_by(rule), start=first, end=min(end, found.reach(end)) if found.read else end, step=step)
    return found.read(asked) if found.read else samples.history(found.key, asked)


def would_have_fired(rule: AlertRule, start: datetime, end: datetime) -> tuple[dict[str, Spans], timedelta]:
    """By group, the spans in which the rule would have fired; groups that never would are left out. And the steps it was tried in."""
    condition = condition_of(rule)
    points, step = _in_steps_that_fit(rule, start, end)
    counts = measure(rule.measure).counts
    found = {}
    missing = 0.0 if counts and not condition.absence else None
    for name, values in points.items():
        # Of a count, nothing is what a rule on absence waits for.
        counted = [(at, value or None) for at, value in values] if counts and condition.absence else values
        found[name] = spans(condition, _filled(counted, end, step, missing))
    return {name: one for name, one in found.items() if one}, step


def _in_steps_that_fit(rule: AlertRule, start: datetime, end: datetime) -> tuple[Found, timedelta]:
    steps = [step for step in TRIED if step >= measure(rule.measure).step]
    for step in steps[:-1]:
        try:
            return history(rule, start, end, step), step
        except ClickHouseRefused:
            continue  # more points than an answer may have
    return history(rule, start, end, steps[-1]), steps[-1]


def _filled(values: Points, end: datetime, step: timedelta, missing: float | None) -> Points:
    """A point for every step from the first that is there on, so that one that is missing is missed."""
    if not values:
        return []
    known = dict(values)
    at, found = values[0][0], []
    while at < end:
        found.append((at, known.get(at, missing)))
        at += step
    return found


def _newest(found: Measure, read: Read, asked: Asked, now: datetime) -> Values:
    end = found.reach(now)
    steps = read(replace(asked, start=end - found.steps * found.step, end=end, step=found.step))
    return {
        name: next((value for at, value in reversed(points) if at < end and value is not None), None)
        for name, points in steps.items()
    }


def _misses(rule: AlertRule, found: Measure) -> bool:
    """Whether a group that is not there matters."""
    return rule.kind == AlertRule.Kind.ABSENCE or (found.counts and rule.direction == AlertRule.Direction.BELOW)


def _known(found: Measure, read: Read, asked: Asked, now: datetime) -> list[str]:
    """Groups of the last day."""
    start = (now - KNOWN_FOR).replace(minute=0, second=0, microsecond=0)
    return list(read(replace(asked, start=start, end=found.reach(now), step=HOUR)))
