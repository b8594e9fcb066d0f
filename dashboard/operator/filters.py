"""What every page of the operator shows: a range of time and which part of the service. All of it is in the URL, on all pages alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from metering.public import LiveScope

SCOPE = ("region", "cluster", "model", "tenant", "tier")
LONGEST = 200
CUSTOM = "custom"
PREVIOUS = "previous"
SHORTEST_CUSTOM, LONGEST_CUSTOM = timedelta(minutes=5), timedelta(days=400)
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)  # what every database can hold


class UnknownFilter(ValueError):
    """The address names something that there is not. The message says what there is."""


@dataclass(frozen=True)
class Range:
    """`refresh_s`: how old its history may be; a longer range costs more to read and moves less."""

    label: str
    length: timedelta
    step: timedelta
    refresh_s: float


RANGES = {
    "15m": Range("15 minutes", timedelta(minutes=15), timedelta(minutes=1), 0.9),
    "1h": Range("1 hour", timedelta(hours=1), timedelta(minutes=1), 0.9),
    "6h": Range("6 hours", timedelta(hours=6), timedelta(minutes=5), 1.9),
    "24h": Range("24 hours", timedelta(hours=24), timedelta(minutes=15), 10),
    "7d": Range("7 days", timedelta(days=7), timedelta(hours=2), 20),
    "30d": Range("30 days", timedelta(days=30), timedelta(hours=6), 30),
    "90d": Range("90 days", timedelta(days=90), timedelta(days=1), 60),
}
# Steps of a range of one's own, by its length at most.
CUSTOM_STEPS = (
    (timedelta(hours=1), timedelta(minutes=1)),
    (timedelta(hours=6), timedelta(minutes=5)),
    (timedelta(hours=24), timedelta(minutes=15)),
    (timedelta(days=3), timedelta(hours=1)),
    (timedelta(days=7), timedelta(hours=2)),
    (timedelta(days=30), timedelta(hours=6)),
)


@dataclass(frozen=True)
class Window:
    """`[start, end)`; `start` lies on a whole step, so that points stay where they are while time goes on. `live`: it ends now."""

    start: datetime
    end: datetime
    step: timedelta
    live: bool

    @property
    def previous(self) -> "Window":
        """As long, and just before. Its points lie whole steps earlier, so that the two can be laid over each other."""
        back = -((self.start - self.end) // self.step) * self.step
        return Window(self.start - back, self.end - back, self.step, live=False)

    @property
    def steps(self) -> list[datetime]:
        """Where each step begins."""
        count = -((self.start - self.end) // self.step)
        return [self.start + number * self.step for number in range(count)]


@dataclass(frozen=True)
class Option:
    """A choice of one page's own. `choices` by key, with labels; None: any text, as long as a name."""

    name: str
    label: str
    choices: Mapping[str, str] | None
    default: str = ""

    def read(self, text: str) -> str:
        if self.choices is None:
            return checked(self.name, text)
        if text not in self.choices:
            raise UnknownFilter(f"There is no {self.label.lower()} {text!r}: choose one of {', '.join(self.choices)}.")
        return text


@dataclass(frozen=True)
class Filters:
    """'' is all. Any text is a region, cluster, model, tenant or tier: one without requests shows an empty page.

    `start` and `end` are set where the range is custom. `options` are the page's own, those only that are not as by default.
    """

    range: str = "1h"
    region: str = ""
    cluster: str = ""
    model: str = ""
    tenant: str = ""
    tier: str = ""
    start: datetime | None = None
    end: datetime | None = None
    compare: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, query: Mapping[str, str], options: Sequence[Option] = ()) -> "Filters":
        """From a query string. Raises UnknownFilter."""
        named = {name: checked(name, query[name]) for name in SCOPE if query.get(name)}
        key, start, end = _range(query)
        compare = query.get("compare", "")
        if compare not in {"", PREVIOUS}:
            raise UnknownFilter(f"There is nothing called {compare!r} to compare with: only {PREVIOUS!r}.")
        chosen = ((one, one.read(query[one.name])) for one in options if query.get(one.name))
        own = tuple((one.name, value) for one, value in chosen if value != one.default)
        return cls(key, **named, start=start, end=end, compare=compare, options=own)

    @property
    def scope(self) -> LiveScope:
        return LiveScope(**{name: getattr(self, name) or None for name in SCOPE})

    @property
    def refresh_s(self) -> float:
        return RANGES[self.range].refresh_s if self.range in RANGES else 30.0

    @property
    def label(self) -> str:
        """The range in words: '24 hours', '3 Nov 14:00 to 4 Nov 02:00'."""
        if self.start and self.end:
            return f"{self.start:%-d %b %H:%M} to {self.end:%-d %b %H:%M}"
        return RANGES[self.range].label

    def window(self, now: datetime) -> Window:
        if self.start and self.end:
            step = _step(self.end - self.start)
            start = _floor(self.start, step)
            # One that has not begun yet is a step of nothing, rather than a window that ends before it begins.
            return Window(start, max(min(self.end, now), start + step), step, live=False)
        span = RANGES[self.range]
        return Window(_floor(now - span.length, span.step), now, span.step, live=True)

    def fitted(self, ranges: Sequence[str]) -> "Filters":
        """With the next longer of `ranges`, where a page does not offer the one that was chosen."""
        if self.range == CUSTOM or self.range in ranges:
            return self
        length = RANGES[self.range].length
        return replace(self, range=next((key for key in ranges if RANGES[key].length >= length), ranges[-1]))

    def option(self, option: Option) -> str:
        return dict(self.options).get(option.name, option.default)

    def query(self) -> str:
        """The shortest query string that means the same."""
        return urlencode([*self._shared(), *self.options])

    def carried(self) -> str:
        """What goes along to another page: all but the page's own options."""
        return urlencode(self._shared())

    def narrowed(self, name: str, value: str) -> "Filters":
        """With one more of SCOPE set, or with an option."""
        if name in SCOPE:
            changed: dict[str, Any] = {name: value}
            return replace(self, **changed)
        return replace(self, options=(*((key, old) for key, old in self.options if key != name), (name, value)))

    def cleared(self, scope: Sequence[str]) -> str:
        """A link that shows all of what `scope` had narrowed; '' if it had narrowed nothing."""
        everything: dict[str, Any] = dict.fromkeys(scope, "")
        narrows = any(getattr(self, name) for name in scope)
        return f"?{replace(self, **everything).query()}" if narrows else ""

    def _shared(self) -> list[tuple[str, str]]:
        parts = [(name, getattr(self, name)) for name in SCOPE if getattr(self, name)]
        if self.start and self.end:
            parts = [("from", f"{self.start:%Y-%m-%dT%H:%M}"), ("to", f"{self.end:%Y-%m-%dT%H:%M}"), *parts]
        elif self.range != "1h":
            parts = [("range", self.range), *parts]
        return [*parts, ("compare", self.compare)] if self.compare else parts


def checked(name: str, text: str) -> str:
    """Raises UnknownFilter for what cannot be anything's name."""
    if len(text) > LONGEST or "\x00" in text:
        raise UnknownFilter(f"There is no {name} with such a name.")
    return text


def _range(query: Mapping[str, str]) -> tuple[str, datetime | None, datetime | None]:
    """A range that is named stands even where from= and to= are given: a form sends whatever its fields hold."""
    key = query.get("range") or (CUSTOM if query.get("from") or query.get("to") else "1h")
    if key in RANGES:
        return key, None, None
    if key != CUSTOM:
        raise UnknownFilter(f"There is no range {key!r}: choose one of {', '.join(RANGES)}, or give from= and to=.")
    start, end = (_moment(name, query.get(name, "")) for name in ("from", "to"))
    if start is None or end is None:
        raise UnknownFilter("A range of your own needs both from= and to=, such as 2026-11-03T14:00 (UTC).")
    if not SHORTEST_CUSTOM <= end - start <= LONGEST_CUSTOM:
        raise UnknownFilter(
            "A range of your own is five minutes long at least, 400 days at most, and ends after it begins."
        )
    return key, start, end


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = found.replace(tzinfo=found.tzinfo or UTC, second=0, microsecond=0).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnknownFilter(f"{name}={text!r} is no time: write it as 2026-11-03T14:00 (UTC).") from None
    if not EARLIEST <= moment < LATEST:
        raise UnknownFilter(f"{name}={text!r} is no time of this century.")
    return moment


def _step(length: timedelta) -> timedelta:
    """Fine enough for some sixty points, and one that a rollup has."""
    return next((step for longest, step in CUSTOM_STEPS if length <= longest), timedelta(days=1))


def _floor(moment: datetime, step: timedelta) -> datetime:
    step_s, at_s = int(step.total_seconds()), int(moment.timestamp())
    return datetime.fromtimestamp(at_s - at_s % step_s, UTC)
