"""The requests of an engine, as their events tell: when each ran, the tokens it has had by any moment, and what it did in each window."""

from dataclasses import dataclass, fields, replace

import numpy as np

from metering.telemetry.energy.arrays import WINDOW_S, Bools, Floats, Ints


@dataclass(frozen=True)
class Requests:
    """When each left the queue, had its first token, and ended; prompt tokens that were computed, and that came from a cache; output.

    A request without latencies ran for no time at all: `begin`, `first` and `end` are the same moment. `label` numbers whose it is.
    """

    begin_s: Floats
    first_s: Floats
    end_s: Floats
    prefill: Floats
    cached: Floats
    output: Floats
    label: Ints


_NOTHING = np.zeros(0)
NONE = Requests(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING.astype(np.int64))


@dataclass(frozen=True)
class Placed:
    """One row for each request and window that it touches: its intervals cut to the window, the tokens that fall into it, whether it ended
    there. Tokens that took no time have an empty interval. `prefill_context`: its prompt tokens times the mean context of a token of its
    prompt, which is what came from a cache and half of what was computed."""

    label: Ints
    window: Ints
    begin_s: Floats
    first_s: Floats
    end_s: Floats
    prefill: Floats
    prefill_context: Floats
    decode: Floats
    ended: Bools

    def where(self, chosen: Bools) -> "Placed":
        return Placed(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def later(self, windows: int) -> "Placed":
        """With windows, and times, counted from so many windows earlier."""
        by = windows * WINDOW_S
        times = {name: getattr(self, name) + by for name in ("begin_s", "first_s", "end_s")}
        return replace(self, window=self.window + windows, **times)


def placed(requests: Requests, windows: int) -> Placed:
    """In the windows 0 to `windows` - 1. Prompt tokens come evenly from `begin` to `first`, output from there to `end`."""
    inside = (requests.end_s >= 0) & (requests.begin_s < windows * WINDOW_S)
    begin, first, end = (times[inside] for times in (requests.begin_s, requests.first_s, requests.end_s))
    of_first = np.maximum(begin // WINDOW_S, 0).astype(np.int64)
    count = np.minimum(end // WINDOW_S, windows - 1).astype(np.int64) - of_first + 1
    of = np.repeat(np.arange(len(begin)), count)
    window = of_first[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    low, high = window * WINDOW_S, (window + 1) * WINDOW_S

    def cut(times: Floats) -> Floats:
        return np.clip(times[of], low, high)

    tokens = requests.prefill[inside]
    context = requests.cached[inside] + tokens / 2
    prefill = tokens[of] * _part(begin[of], first[of], low, high)
    return Placed(
        label=requests.label[inside][of],
        window=window,
        begin_s=cut(begin),
        first_s=cut(first),
        end_s=cut(end),
        prefill=prefill,
        prefill_context=prefill * context[of],
        decode=requests.output[inside][of] * _part(first[of], end[of], low, high),
        ended=(end[of] >= low) & (end[of] < high),
    )


def at_moments(moments_s: Floats, amounts: Floats, at_s: Floats) -> Floats:
    """How much has come before each of `at_s`, if every amount comes at its moment: as an engine counts a prompt, at its first token."""
    order = np.argsort(moments_s, kind="stable")
    held = np.concatenate(([0.0], np.cumsum(amounts[order])))
    return np.asarray(held[np.searchsorted(moments_s[order], at_s, side="left")], dtype=np.float64)


def evenly(start_s: Floats, end_s: Floats, amounts: Floats, at_s: Floats) -> Floats:
    """The same, if every amount comes evenly from its start to its end: as an engine counts output."""
    length = end_s - start_s
    lasts = length > 0
    rate = amounts[lasts] / length[lasts]
    ramps = _ramps(start_s[lasts], rate, at_s) - _ramps(end_s[lasts], rate, at_s)
    return ramps + at_moments(end_s[~lasts], amounts[~lasts], at_s)


def _part(start: Floats, end: Floats, low: Floats, high: Floats) -> Floats:
    """The share of each interval that lies in its window; an empty one lies in the window of its moment, whole."""
    length = end - start
    overlap = np.maximum(np.minimum(end, high) - np.maximum(start, low), 0.0)
    moment = ((end >= low) & (end < high)).astype(np.float64)
    return np.where(length > 0, overlap / np.where(length > 0, length, 1.0), moment)


def _ramps(start_s: Floats, rate: Floats, at_s: Floats) -> Floats:
    """The sum of rate x (at - start) over all that have started before `at`."""
    order = np.argsort(start_s, kind="stable")
    start, rate = start_s[order], rate[order]
    begun = np.searchsorted(start, at_s, side="left")
    rates = np.concatenate(([0.0], np.cumsum(rate)))[begun]
    offsets = np.concatenate(([0.0], np.cumsum(rate * start)))[begun]
    return np.asarray(rates * at_s - offsets, dtype=np.float64)
