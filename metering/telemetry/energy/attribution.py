"""Whose the energy of a group is, window by window: each term by its own formula, and then the check that they come to the counter.

counter = gap + idle + tenants' + no event + aborted + no engine
"""

from dataclasses import dataclass, fields

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, ratio
from metering.telemetry.energy.timing import GroupTime, Split

TOLERANCE = 1e-6  # relative: a window that misses its counter by more is reported


@dataclass(frozen=True)
class Terms:
    """By engine and window. Joules and GPU-seconds (`*_s`) of each term, and the counter's part that falls to the engine's row."""

    counter_j: Floats
    gap_j: Floats
    idle_j: Floats
    attributed_j: Floats
    no_event_j: Floats
    aborted_j: Floats
    no_engine_j: Floats
    total_s: Floats
    gap_s: Floats
    idle_s: Floats
    attributed_s: Floats
    no_event_s: Floats
    aborted_s: Floats
    no_engine_s: Floats
    conservation_error: Floats  # of the window, the same for all engines of the group: relative to the counter


@dataclass(frozen=True)
class Parts:
    """Of what is busy, by engine and window: joules and GPU-seconds."""

    joules: Floats
    seconds: Floats


def terms(time: GroupTime, split: Split, told: Parts, untold: Parts, aborted: Bools) -> Terms:
    """The terms of a group with engines. `told`: the tenants' rows, added up; `untold`: what no event tells of.

    `aborted`: the engine aborted requests in that window, which is then the cause of what no event tells of. What no engine can be
    named for (idle time and gaps) falls to the engines of the group in equal parts.
    """
    one = np.full((len(aborted), 1), 1 / len(aborted))
    nothing = np.zeros(aborted.shape)
    return _checked(
        time.counter_j,
        gap_j=time.gap_j * one,
        idle_j=split.idle_j * one,
        attributed_j=told.joules,
        no_event_j=np.where(aborted, 0.0, untold.joules),
        aborted_j=np.where(aborted, untold.joules, 0.0),
        no_engine_j=nothing,
        gap_s=time.gap_s * one,
        idle_s=time.idle_s * one,
        attributed_s=told.seconds,
        no_event_s=np.where(aborted, 0.0, untold.seconds),
        aborted_s=np.where(aborted, untold.seconds, 0.0),
        no_engine_s=nothing,
    )


def unclaimed(time: GroupTime) -> Terms:
    """The terms of GPUs that no engine claims, in one row: what is in no gap is nobody's, whether they rested or not."""
    count = len(time.counter_j)
    nothing = np.zeros((1, count))
    joined = np.zeros(count)
    np.add.at(joined, time.joined.window, time.joined.energy_j)
    return _checked(
        time.counter_j,
        gap_j=time.gap_j[None, :],
        idle_j=nothing,
        attributed_j=nothing,
        no_event_j=nothing,
        aborted_j=nothing,
        no_engine_j=joined[None, :],
        gap_s=time.gap_s[None, :],
        idle_s=nothing,
        attributed_s=nothing,
        no_event_s=nothing,
        aborted_s=nothing,
        no_engine_s=(time.covered_s - time.gap_s)[None, :],
    )


def _checked(counter_j: Floats, **found: Floats) -> Terms:
    """Compare the terms with the counter, and give every engine's row the part of the counter that its terms have of all terms."""
    rows = sum(found[name] for name in _ending("_j"))
    seconds = sum(found[name] for name in _ending("_s"))
    assert isinstance(rows, np.ndarray)  # noqa: S101 - for the type checker: there are terms
    assert isinstance(seconds, np.ndarray)  # noqa: S101 - the same
    whole = rows.sum(axis=0)
    evenly = np.full(rows.shape, 1 / len(rows))
    part = np.where(whole > 0, ratio(rows, whole), evenly)
    return Terms(
        counter_j=counter_j * part,
        total_s=seconds,
        conservation_error=np.broadcast_to(_error(whole, counter_j), rows.shape),
        **found,
    )


def _error(whole: Floats, counter_j: Floats) -> Floats:
    """|terms - counter| / counter. A counter that moved by less than a joule is compared in joules: it holds no real window's energy."""
    return np.abs(whole - counter_j) / np.maximum(counter_j, 1.0)


def _ending(suffix: str) -> list[str]:
    summed_up = {"counter_j", "total_s"}
    return [field.name for field in fields(Terms) if field.name.endswith(suffix) and field.name not in summed_up]
