"""An engine's counters against its events, over exactly the same time: from one of its samples to the next.

A window takes the segments that end in it, so that nothing is interpolated: a counter steps, and a share of a step is a guess.
"""

from dataclasses import dataclass, fields

import numpy as np

from metering.telemetry.energy import intervals
from metering.telemetry.energy.arrays import Bools, Floats, summed
from metering.telemetry.energy.intervals import Intervals
from metering.telemetry.energy.requests import Requests, at_moments, evenly

# Engine samples further apart than this are not compared: what happened between them is a gap.
LONGEST_STEP_S = 180.0


@dataclass(frozen=True)
class EngineReadings:
    """Samples of an engine that answered, in order of time; NaN where it does not tell. All but `running` are counters."""

    at_s: Floats
    running: Floats
    prompt: Floats
    cached: Floats
    generated: Floats
    finished: Floats
    aborted: Floats


@dataclass(frozen=True)
class Compared:
    """By window: what the engine counted and what events say, restarts of the engine, and for how long nothing could be compared.

    `prefill` is computed prompt tokens, those from a cache left out.
    """

    engine_prefill: Floats
    engine_cached: Floats
    engine_decode: Floats
    engine_finished: Floats
    engine_aborted: Floats
    event_prefill: Floats
    event_cached: Floats
    event_decode: Floats
    event_requests: Floats
    restarts: Floats
    gap_s: Floats

    def within(self, windows: slice) -> "Compared":
        return Compared(*(getattr(self, field.name)[windows] for field in fields(self)))


def compare(readings: EngineReadings, requests: Requests, edges_s: Floats) -> Compared:
    """An engine that does not count cached tokens is taken to have cached what its events say."""
    counts = ~(np.isnan(readings.prompt) | np.isnan(readings.generated))
    at = readings.at_s[counts]
    joined = np.diff(at) <= LONGEST_STEP_S
    windows = np.asarray(np.searchsorted(edges_s, at[1:], side="left") - 1, dtype=np.int64)

    def by_window(steps: Floats) -> Floats:
        return summed(windows, np.where(joined, steps, 0.0), len(edges_s) - 1)

    def counted(values: Floats) -> Floats:
        return _increases(values[counts])

    event_cached = np.diff(at_moments(requests.first_s, requests.cached, at))
    prompt, cached = counted(readings.prompt), counted(readings.cached)
    cached = np.where(np.isnan(cached), np.minimum(event_cached, prompt), cached)
    return Compared(
        engine_prefill=by_window(np.maximum(prompt - cached, 0.0)),
        engine_cached=by_window(cached),
        engine_decode=by_window(counted(readings.generated)),
        engine_finished=by_window(np.nan_to_num(counted(readings.finished))),
        engine_aborted=by_window(np.nan_to_num(counted(readings.aborted))),
        event_prefill=by_window(np.diff(at_moments(requests.first_s, requests.prefill, at))),
        event_cached=by_window(event_cached),
        event_decode=by_window(np.diff(evenly(requests.first_s, requests.end_s, requests.output, at))),
        event_requests=by_window(np.diff(at_moments(requests.end_s, np.ones(len(requests.end_s)), at))),
        restarts=by_window(_restarted(readings.prompt[counts], readings.generated[counts]).astype(np.float64)),
        gap_s=_not_compared(at, joined, edges_s),
    )


def busy(readings: EngineReadings, requests: Requests) -> Intervals:
    """When the engine had requests: those of its events, and where it says that it ran more than these, the time around the sample."""
    knows = ~np.isnan(readings.running)
    at = readings.at_s[knows]
    told = intervals.running_at(requests.begin_s, requests.end_s, at)
    start, end = intervals.around(at, readings.running[knows] > told, LONGEST_STEP_S)
    return intervals.union(np.concatenate((requests.begin_s, start)), np.concatenate((requests.end_s, end)))


def _increases(counter: Floats) -> Floats:
    """From each sample to the next. A counter that is lower than before has begun anew at 0. NaN next to a sample without it."""
    step = np.diff(counter)
    return np.where(step < 0, counter[1:], step)


def _restarted(*counters: Floats) -> Bools:
    lower = [np.diff(counter) < 0 for counter in counters]
    return np.asarray(np.logical_or.reduce(lower), dtype=np.bool_)


def _not_compared(at: Floats, joined: Bools, edges_s: Floats) -> Floats:
    covered = intervals.union(at[:-1][joined], at[1:][joined])
    return np.diff(edges_s) - covered.within(edges_s[:-1], edges_s[1:])
