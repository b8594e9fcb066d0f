"""The events of a chaos run: which identities there are and what each one says. A seed and a moment decide all of it.

Among them are the cases of identity: the same id at another tenant, from another source, and again days later (another event).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

TENANTS = tuple(f"chaos-{number:02d}" for number in range(40))
MODELS = ("llama-4-70b", "qwen-3-32b", "mistral-large-3", "deepseek-v4", "gemma-4-27b", "phi-5")
SOURCES = ("gw-a", "gw-b")
NO_TIME = -1
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
REUSED_AFTER_MS = 3 * DAY_MS  # the same identity again: beyond 24 hours it is another event

Column = Any  # a numpy array


@dataclass(frozen=True)
class Events:
    """Columns, one entry per event. `number` makes the id; `time_ms` is NO_TIME where the sender gives none."""

    number: Column
    tenant: Column
    source: Column
    model: Column
    time_ms: Column
    input_tokens: Column
    cached: Column
    output_tokens: Column

    def __len__(self) -> int:
        return len(self.number)

    def take(self, indices: Column) -> "Events":
        return Events(*(getattr(self, name)[indices] for name in self.__dataclass_fields__))

    @cached_property
    def rows(self) -> list[tuple[Any, ...]]:
        """(id, source, tenant, model, time in ms or None, input, cached, output) of each event, as Python values."""
        return list(
            zip(
                (f"c-{number}" for number in self.number.tolist()),
                (SOURCES[index] for index in self.source.tolist()),
                (TENANTS[index] for index in self.tenant.tolist()),
                (MODELS[index] for index in self.model.tolist()),
                (None if time == NO_TIME else time for time in self.time_ms.tolist()),
                self.input_tokens.tolist(),
                self.cached.tolist(),
                self.output_tokens.tolist(),
                strict=True,
            )
        )


def made(count: int, own: Sequence[tuple[int, int, int]], at_ms: int, random: np.random.Generator) -> Events:
    """`count` events around the moment `at_ms`. `own`: (first, end, tenant) of the batches that belong to one tenant."""
    tenant = random.integers(0, len(TENANTS), count)
    for first, end, owner in own:
        tenant[first:end] = owner
    input_tokens = random.integers(1, 60_000, count)
    events = Events(
        number=np.arange(count),
        tenant=tenant,
        source=random.integers(0, len(SOURCES), count),
        model=random.integers(0, len(MODELS), count),
        time_ms=_times(count, at_ms, random),
        input_tokens=input_tokens,
        cached=(input_tokens * random.random(count) * 0.9).astype(np.int64),
        output_tokens=random.integers(0, 4_000, count),
    )
    return _with_twins(events, random)


def _times(count: int, at_ms: int, random: np.random.Generator) -> Column:
    """Three quarters are fresh, a fifth is late by an hour to twenty days, the rest has no time."""
    kind = random.random(count)
    fresh = at_ms - random.integers(0, 10 * 60_000, count)
    late = at_ms - random.integers(HOUR_MS, 20 * DAY_MS, count)
    return np.where(kind < 0.75, fresh, np.where(kind < 0.95, late, NO_TIME))


def _with_twins(events: Events, random: np.random.Generator) -> Events:
    """Give some events the id of their neighbour: they differ from it in tenant or source, or lie days before it."""
    odd = np.arange(1, len(events), 2)
    twins = odd[random.random(len(odd)) < 0.04]
    number, source, time_ms, tenant = (
        column.copy() for column in (events.number, events.source, events.time_ms, events.tenant)
    )
    number[twins] = number[twins - 1]
    same_tenant = twins[tenant[twins] == tenant[twins - 1]]
    timed = (time_ms[same_tenant] != NO_TIME) & (time_ms[same_tenant - 1] != NO_TIME)
    reused = same_tenant[timed & (random.random(len(same_tenant)) < 0.5)]
    others = np.setdiff1d(same_tenant, reused)
    source[others] = 1 - source[others - 1]
    source[reused] = source[reused - 1]
    time_ms[reused] = time_ms[reused - 1] - REUSED_AFTER_MS
    return replace(events, number=number, source=source, time_ms=time_ms)


def reused(events: Events) -> Column:
    """Indices of the events whose whole identity another event has too, that one included."""
    keys = (events.number * len(SOURCES) + events.source) * len(TENANTS) + events.tenant
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)


def altered(events: Events, random: np.random.Generator) -> Events:
    """The same identities with other content: what must lose against the first. Times move by less than 24 hours."""
    moved = np.where(random.random(len(events)) < 0.3, random.integers(1, 20 * HOUR_MS, len(events)), 0)
    return replace(
        events,
        output_tokens=events.output_tokens + random.integers(1, 1_000, len(events)),
        model=np.where(random.random(len(events)) < 0.3, (events.model + 1) % len(MODELS), events.model),
        time_ms=np.where(events.time_ms == NO_TIME, NO_TIME, events.time_ms - moved),
    )
