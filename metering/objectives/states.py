"""How objectives stand: the share of good requests, the error budget that is left, and how fast it burns.

A burn rate is the share of bad requests over the share that the target allows: at 1, the budget of a window lasts just that window.
Pairs of windows say when to act (Google's SRE workbook, chapter 5): the long one that it matters, the short one that it goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeVar

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.objectives import CountsSince, CountSteps
from metering.live import LiveScope
from metering.models import Objective, ObjectiveProgress
from metering.objectives.definitions import MEASURES, info
from metering.objectives.progress import counted_until

HOUR = timedelta(hours=1)
BURN_WINDOWS: dict[str, timedelta] = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": HOUR,
    "6h": 6 * HOUR,
    "3d": timedelta(days=3),
}
TIMEOUT_S = 5.0
K = TypeVar("K")


@dataclass(frozen=True)
class BurnRule:
    """Both windows burn at `rate` or more where `share` of the budget would go within the long one."""

    short: str
    long: str
    share: float
    urgent: bool

    def rate(self, window: timedelta) -> float:
        """Of an objective over `window`: 14.4, 6 and 1 of one over thirty days. What burns at less than 1 lasts, whatever the window."""
        return max(self.share * (window / BURN_WINDOWS[self.long]), 1.0)


BURN_RULES = (
    BurnRule("5m", "1h", 0.02, urgent=True),
    BurnRule("30m", "6h", 0.05, urgent=True),
    BurnRule("6h", "3d", 0.10, urgent=False),
)


@dataclass(frozen=True)
class Tally:
    """How many requests counted, and how many of them were good."""

    good: int = 0
    total: int = 0

    @property
    def share(self) -> float | None:
        return self.good / self.total if self.total else None

    def burn(self, target: float) -> float | None:
        """None without requests."""
        return (self.total - self.good) / self.total / (1 - target) if self.total else None


@dataclass(frozen=True)
class ObjectiveState:
    """`as_of`: every minute before it is counted. `counted_from`: and every one from there on; later than the window's begin while it is
    being counted back to. Both None before the first count."""

    name: str
    scope: LiveScope
    measure: str
    threshold_ms: float | None
    target: float
    window: timedelta
    as_of: datetime | None
    counted_from: datetime | None
    tally: Tally
    recent: Mapping[str, Tally] = field(default_factory=dict)  # by BURN_WINDOWS

    @property
    def measure_label(self) -> str:
        return MEASURES[self.measure]

    @property
    def attained(self) -> float | None:
        """The share of good requests over the window; None without requests."""
        return self.tally.share

    @property
    def budget_left(self) -> float | None:
        """Of the bad requests that the target allows over the window's requests so far, the share that is left; less than 0 if the
        objective is missed."""
        burnt = self.tally.burn(self.target)
        return None if burnt is None else 1 - burnt

    @property
    def whole(self) -> bool:
        """Whether the whole window is counted."""
        return (
            self.as_of is not None and self.counted_from is not None and self.counted_from <= self.as_of - self.window
        )

    def burn(self, window: str) -> float | None:
        """Raises KeyError for a window that is none of BURN_WINDOWS."""
        return self.recent[window].burn(self.target) if self.recent else None

    @property
    def burning(self) -> tuple[BurnRule, ...]:
        """The rules by which it is time to act, the most urgent first."""
        return tuple(rule for rule in BURN_RULES if self._burns(rule))

    def _burns(self, rule: BurnRule) -> bool:
        return all((self.burn(window) or 0.0) >= rule.rate(self.window) for window in (rule.short, rule.long))


@dataclass(frozen=True)
class ObjectiveStep:
    """One step of an objective's counts; None of a step that is not counted (yet)."""

    start: datetime
    tally: Tally | None


def objective_states(now: datetime) -> list[ObjectiveState]:
    """All of them, in the order of their names; windows end at the last minute that is counted.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    rows = list(Objective.objects.all())
    progress = ObjectiveProgress.objects.first()
    if not rows or progress is None:
        return [_state(row, None, Tally(), {}) for row in rows]
    end = min(counted_until(progress), now)
    ids = tuple(row.counts for row in rows)
    recent = _recent(ids, end)
    days = sorted({row.window_days for row in rows})
    windows = _windows(ids, days, end)
    nothing = dict.fromkeys(BURN_WINDOWS, Tally())
    return [
        _state(row, end, windows.get(row.counts, {}).get(row.window_days, Tally()), recent.get(row.counts, nothing))
        for row in rows
    ]


def objective_steps(name: str, start: datetime, step: timedelta, end: datetime) -> list[ObjectiveStep]:
    """The counts of one objective over `[start, end)`, one for every step. Raises LookupError for a name that there is not."""
    row = Objective.objects.filter(name=name).first()
    if row is None:
        raise LookupError(f"there is no objective {name!r}")
    return objectives_steps([name], start, step, end)[name]


def objectives_steps(
    names: list[str], start: datetime, step: timedelta, end: datetime
) -> dict[str, list[ObjectiveStep]]:
    """The same of several, by name."""
    rows = {row.counts: row.name for row in Objective.objects.filter(name__in=names)}
    if not rows:
        return {}
    query = CountSteps(tuple(rows), start, end, int(step.total_seconds()))
    found: dict[tuple[int, int], Tally] = {}
    for counts, at_s, good, total in client.run(query, timeout_s=TIMEOUT_S).rows:
        found[counts, int(at_s)] = Tally(int(good), int(total))
    starts = [start + number * step for number in range(-((start - end) // step))]
    return {
        name: [ObjectiveStep(at, found.get((counts, moments.seconds(at)))) for at in starts]
        for counts, name in rows.items()
    }


def _recent(ids: tuple[int, ...], end: datetime) -> dict[int, dict[str, Tally]]:
    starts = {name: end - length for name, length in BURN_WINDOWS.items()}
    return _counted(ids, starts, end, "minute")


def _windows(ids: tuple[int, ...], days: list[int], end: datetime) -> dict[int, dict[int, Tally]]:
    return _counted(ids, {one: window_start(end, one) for one in days}, end, "hour")


def _counted(
    ids: tuple[int, ...], starts: Mapping[K, datetime], end: datetime, grain: Literal["minute", "hour"]
) -> dict[int, dict[K, Tally]]:
    """Of each objective, what was counted since each of `starts`, by its name."""
    query = CountsSince(ids, tuple(starts.values()), end, grain)
    return {
        int(row[0]): dict(zip(starts, _tallies(row[1:]), strict=True))
        for row in client.run(query, timeout_s=TIMEOUT_S).rows
    }


def window_start(end: datetime, days: int) -> datetime:
    """The whole hour in which a window begins that ends at `end`."""
    return (end - timedelta(days=days)).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _tallies(values: tuple[int, ...]) -> list[Tally]:
    return [Tally(int(good), int(total)) for good, total in zip(values[::2], values[1::2], strict=True)]


def _state(row: Objective, end: datetime | None, tally: Tally, recent: Mapping[str, Tally]) -> ObjectiveState:
    about = info(row)
    return ObjectiveState(
        name=row.name,
        scope=about.scope,
        measure=row.measure,
        threshold_ms=_number(row.threshold_ms),
        target=float(row.target),
        window=about.window,
        as_of=end,
        counted_from=row.counted_from,
        tally=tally,
        recent=recent,
    )


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
