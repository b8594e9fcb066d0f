"""How an engine's metrics become the fields of an EngineSample: the words in which the kinds of engines are described."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from enum import Enum, auto

from metering.agent.engines.spec import EngineSpec
from metering.agent.exposition import Exposition


class Combine(Enum):
    """What several series (data-parallel ranks, models, replicas) are together."""

    SUM = auto()
    # Of KV caches: each rank has one of its own, and requests queue or are preempted as soon as theirs is full, however empty the
    # others are. A mean would hide the rank that binds; whether it matters is told by queueing and preemption, not by this reading.
    FULLEST = auto()


@dataclass(frozen=True, slots=True)
class Metric:
    """The first of `names` that the engine has counts, after one of its kind's prefixes.

    `where`: only series whose labels have one of these values. `plus`: added where it is there. There are `per` of its unit in the field's.
    `expected` is false for what an engine has in some versions or modes only: that it is missing is no problem then.
    """

    names: tuple[str, ...]
    combine: Combine = Combine.SUM
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    plus: tuple[str, ...] = ()
    per: int = 1
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """`histograms`: by the first part of the field (`ttft`), the metric whose `_sum` and `_count` are read; `per` is for its sum.

    `narrow` leaves out what belongs to another model; it answers with a problem where it cannot tell.
    """

    prefixes: tuple[str, ...]
    gauges: Mapping[str, Metric]
    counters: Mapping[str, Metric]
    histograms: Mapping[str, Metric]
    model_label: str = "model_name"
    narrow: Callable[[Exposition, EngineSpec], tuple[Exposition, str | None]] | None = None

    @property
    def wanted(self) -> Set[str]:
        """Every name of a series that is read."""
        single = [*self.gauges.values(), *self.counters.values()]
        bare = {name for metric in single for name in (*spellings(metric.names), *metric.plus)}
        bare |= {
            name + end for metric in self.histograms.values() for name in metric.names for end in ("_sum", "_count")
        }
        return frozenset(prefix + name for prefix in self.prefixes for name in bare)


def spellings(names: tuple[str, ...]) -> tuple[str, ...]:
    """Ray exports counters without the `_total` that Prometheus puts behind their names."""
    return names + tuple(name.removesuffix("_total") for name in names if name.endswith("_total"))
