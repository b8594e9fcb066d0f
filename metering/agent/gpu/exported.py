"""GPUs out of a Prometheus text: what dcgm-exporter and Triton have in common. Pure: text in, samples out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from metering.agent.exposition import Exposition
from metering.agent.faults import Faults
from metering.agent.plausible import is_blank


@dataclass(frozen=True, slots=True)
class Metric:
    """The first of `names` that a GPU has counts. Its unit is `times` that of GpuSample, or one of which there are `per` in it."""

    names: tuple[str, ...]
    times: int = 1
    per: int = 1


class Key(NamedTuple):
    """A GPU, or with `instance` one of its GPU instances (MIG)."""

    uuid: str
    instance: str = ""


@dataclass(slots=True)
class Exported:
    """What the text says about one of them: the first series of each name."""

    labels: Mapping[str, str]
    values: dict[str, float] = field(default_factory=dict)

    def first(self, metric: Metric) -> float | None:
        """None where there is none, and where the exporter writes that there is none."""
        for name in metric.names:
            value = self.values.get(name)
            if value is not None and not is_blank(value):
                return value * metric.times / metric.per
        return None


def names_of(metrics: Mapping[str, Metric]) -> frozenset[str]:
    return frozenset(name for metric in metrics.values() for name in metric.names)


def by_key(
    exposition: Exposition, uuid_labels: Sequence[str], instance_label: str, faults: Faults
) -> dict[Key, Exported]:
    """Series that name no GPU are a fault: nobody could say whose they are."""
    found: dict[Key, Exported] = {}
    for name, series in exposition.series.items():
        for labels, value in series:
            uuid = next((labels[label] for label in uuid_labels if labels.get(label)), None)
            if uuid is None:
                faults.add(f"{name}: a series names no GPU ({', '.join(uuid_labels)})")
                continue
            exported = found.setdefault(Key(uuid, labels.get(instance_label, "")), Exported(labels))
            exported.values.setdefault(name, value)
    return found


def tell_missing(exposition: Exposition, metrics: Mapping[str, Metric], faults: Faults) -> None:
    """What no GPU has, by the names that were looked for."""
    missing: dict[str, list[str]] = defaultdict(list)
    for name, metric in metrics.items():
        if not any(exposition.series.get(candidate) for candidate in metric.names):
            missing[" or ".join(metric.names)].append(name)
    for looked_for, fields in missing.items():
        faults.add(f"{', '.join(fields)}: {looked_for} is not exported")
