"""Whose the energy of a group is, window by window: each term by its own formula, and then the check that they come to the counter.

    counter = gap + idle + tenants' + no event + aborted + no engine

The busy energy, its baseline included, is divided by work: `prefill_j` x computed prompt tokens + `decode_j` x output tokens, for what
events tell and for what the engine counted beyond them. Where nobody had any, by the time that requests were in the engine; where there
were none either, no event accounts for it.
"""

from dataclasses import dataclass, fields

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, ratio
from metering.telemetry.energy.timing import GroupTime, Split

TOLERANCE = 1e-6  # relative: a window that misses its counter by more is reported
LEAST = 1e-9  # joules and seconds: less than a token or a millisecond, and not enough to divide by


@dataclass(frozen=True)
class Work:
    """Of the engines of one group, by engine (rows) and window (columns), in the order of the group's engines.

    `events_*`: placed by their own intervals; `running_s`: request-seconds. `missing_*`: what the engine counted beyond its events.
    `aborted`: the engine aborted requests in that window. `prefill_j`, `decode_j`: joules per token.
    """

    events_prefill: Floats
    events_decode: Floats
    running_s: Floats
    missing_prefill: Floats
    missing_decode: Floats
    aborted: Bools
    prefill_j: Floats
    decode_j: Floats


@dataclass(frozen=True)
class Shares:
    """Of what is busy, by engine and window: of one joule of work told by events, of one request-second, and of what no event tells.

    share of a request = work x `per_work` + seconds x `per_running_s`; with `untold` they come to 1 in every window.
    """

    per_work: Floats
    per_running_s: Floats
    untold: Floats


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


def shares(work: Work) -> Shares:
    """What one joule of work, one request-second and the rest come to, so that every window is divided whole."""
    told = work.events_prefill * work.prefill_j + work.events_decode * work.decode_j
    untold = work.missing_prefill * work.prefill_j + work.missing_decode * work.decode_j
    whole, running = (told + untold).sum(axis=0), work.running_s.sum(axis=0)
    engines = max(len(told), 1)
    by_work = whole > LEAST
    by_time = ~by_work & (running > LEAST)
    by_nothing = ~(by_work | by_time)
    return Shares(
        per_work=np.broadcast_to(ratio(np.ones_like(whole), whole, LEAST), told.shape),
        per_running_s=np.broadcast_to(np.where(by_time, ratio(np.ones_like(running), running, LEAST), 0.0), told.shape),
        untold=np.where(by_nothing, 1 / engines, ratio(untold, whole, LEAST)),
    )


def terms(time: GroupTime, split: Split, found: Shares, aborted: Bools, told: tuple[Floats, Floats]) -> Terms:
    """The terms of a group with engines. `told`: joules and GPU-seconds of the tenants, added up from their rows.

    What no engine can be named for (idle time and gaps) falls to the engines of the group in equal parts.
    """
    one = np.full((len(aborted), 1), 1 / len(aborted))
    streams, others = np.where(aborted, found.untold, 0.0), np.where(aborted, 0.0, found.untold)
    nothing = np.zeros(aborted.shape)
    return _checked(
        time.counter_j,
        gap_j=time.gap_j * one,
        idle_j=split.idle_j * one,
        attributed_j=told[0],
        no_event_j=split.busy_j * others,
        aborted_j=split.busy_j * streams,
        no_engine_j=nothing,
        gap_s=time.gap_s * one,
        idle_s=time.idle_s * one,
        attributed_s=told[1],
        no_event_s=time.busy_s * others,
        aborted_s=time.busy_s * streams,
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
