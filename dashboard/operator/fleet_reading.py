"""The fleet as it is now, read once for everybody who looks at any page of it, and narrowed by the shared filters."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dashboard.operator.filters import Filters, Option, Window
from dashboard.operator.shelf import SHELF
from metering.public import EngineState, FleetRange, GoneGpu, GpuState, fleet_engines, fleet_gpus, fleet_gpus_gone

MINUTE = timedelta(minutes=1)
FRESH_S = 1.9  # samples come every few seconds
GLANCE_FRESH_S = 10.0  # of the first HTML of a page: its stream follows within a second
GONE_FRESH_S = 30.0
NODE = Option("node", "Node", None)
SCOPE = ("region", "cluster", "model")
SLOW_FROM_S = 1.5  # a history that may be older than this is one that takes long to read
T = TypeVar("T")
# A reading waits for ClickHouse, which plans one query while it runs another.
_readers = ThreadPoolExecutor(4, "fleet-reading")


@dataclass(frozen=True)
class Engines:
    at: datetime
    found: Sequence[EngineState]


@dataclass(frozen=True)
class Gpus:
    """`gone`: those that were there within the last day, and send nothing any more."""

    at: datetime
    found: Sequence[GpuState]
    gone: Sequence[GoneGpu]


def engines_now(*, glance: bool = False) -> Engines:
    """Of the whole fleet. Raises ClickHouseUnavailable or ClickHouseRefused, as all functions here."""
    return SHELF.kept("fleet-engines", GLANCE_FRESH_S if glance else FRESH_S, _engines)


def engines_at_hand() -> bool:
    """Whether a glance at them would not have to read."""
    return SHELF.at_hand("fleet-engines", GLANCE_FRESH_S)


def gpus_now(*, glance: bool = False) -> Gpus:
    return SHELF.kept("fleet-gpus", GLANCE_FRESH_S if glance else FRESH_S, _gpus)


def together(*reads: Callable[[], Any]) -> list[Any]:
    """What each gives. They may ask ClickHouse, and no other database."""
    first, *others = reads
    waiting = [_readers.submit(one) for one in others]
    return [first(), *(one.result() for one in waiting)]


@dataclass(frozen=True)
class History:
    """A history of one page. `now`: at once or not at all, where it takes long and is not at hand: it comes by the stream.

    It takes long if it may be older than `slow_from_s`.
    """

    key: Hashable
    filters: Filters
    now: bool = False
    slow_from_s: float = SLOW_FROM_S

    def read(self, read: Callable[[], T]) -> T | None:
        fresh_s = self.filters.refresh_s
        if self.now and fresh_s >= self.slow_from_s and not SHELF.at_hand(self.key, fresh_s):
            return None
        return SHELF.kept(self.key, fresh_s, read)


def _engines() -> Engines:
    at = datetime.now(UTC)
    return Engines(at, fleet_engines(at))


def _gpus() -> Gpus:
    at = datetime.now(UTC)
    found = fleet_gpus(at)
    there = {(one.node, one.gpu) for one in found}
    gone = SHELF.kept("fleet-gpus-gone", GONE_FRESH_S, lambda: fleet_gpus_gone(at))
    return Gpus(at, found, [one for one in gone if (one.node, one.gpu) not in there])


def engines_in(engines: Sequence[EngineState], filters: Filters, *, node: bool = True) -> list[EngineState]:
    """Those that the filters leave; `node`: the page's own choice of one, too."""
    found = [one for one in engines if all(getattr(one, name) == value for name, value in _asked(filters).items())]
    chosen = filters.option(NODE) if node else ""
    return [one for one in found if chosen in {"", one.node}]


def gpus_in(gpus: Gpus, engines: Sequence[EngineState], filters: Filters) -> Gpus:
    """The same for GPUs. Of a model, those on which an engine runs it; which model a GPU that is gone had nobody says."""
    asked = _asked(filters)
    model, node = asked.pop("model", ""), filters.option(NODE)
    runs = {(one.node, gpu) for one in engines if one.model == model for gpu in one.gpus}

    def there(one: GpuState | GoneGpu) -> bool:
        placed = all(getattr(one, name) == value for name, value in asked.items()) and node in {"", one.node}
        return placed and (not model or (one.node, one.gpu) in runs)

    return Gpus(gpus.at, [one for one in gpus.found if there(one)], [one for one in gpus.gone if there(one)])


def window_of(filters: Filters, now: datetime) -> Window:
    """Up to the last whole minute: the one that goes on is not worked up yet."""
    window = filters.window(now)
    end = max(window.end.replace(second=0, microsecond=0), window.start + MINUTE)
    return replace(window, end=end)


def history(
    window: Window, group: Sequence[str] = (), only: "dict[str, str | Sequence[str]] | None" = None
) -> FleetRange:
    return FleetRange(window.start, window.end, window.step, tuple(group), only or {})


def narrowed(filters: Filters) -> "dict[str, str | Sequence[str]]":
    """What history of engines is narrowed to."""
    node = filters.option(NODE)
    return {**_asked(filters), **({"node": node} if node else {})}


def _asked(filters: Filters) -> dict[str, str]:
    return {name: value for name in SCOPE if (value := getattr(filters, name))}
