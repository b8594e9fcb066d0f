"""Whose the busy energy of a group is, window by window.

Prompts have what their tokens cost: `prefill_j` each, and `prefill_context_j` for every token that stands before one, as attention reads
them all. Decoding has what that leaves, but no less than `decode_j` x output tokens. Both are scaled to come to what was burned. A decode
step costs about the same whatever its batch, so what output costs is taken from each window and never from a constant: the batch moves
joules per token 6 to 35 times (ML.ENERGY Leaderboard v3, December 2025: ml.energy).

Tokens of a kind that no event tells of have their part by tokens, prompts at the mean context of those that are told. Decoding falls to
requests by the steps that served them: in a step each sequence that decodes has one token and one share, so a request has the integral of
dt / n over its time of output, n being how many decode. Output that took no time has its part by tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy import intervals
from metering.telemetry.energy.arrays import Bools, Floats, edges, ratio, summed
from metering.telemetry.energy.coefficients import Applied
from metering.telemetry.energy.requests import Placed

LEAST = 1e-9  # joules, tokens and seconds: less than there can be, and not enough to divide by


@dataclass(frozen=True)
class Worker:
    """An engine of the group: its requests, and by window its coefficients and the tokens that no event tells of."""

    placed: Placed
    applied: Applied
    missing_prefill: Floats
    missing_decode: Floats


@dataclass(frozen=True)
class Work:
    """Of one engine by window, what no event tells of included: prompt tokens, these times their context, output tokens; and the seconds in
    which a prompt was computed, as far as events tell."""

    prefill: Floats
    prefill_context: Floats
    decode: Floats
    prefill_s: Floats


@dataclass(frozen=True)
class Shared:
    """Of one engine, in parts of what was busy in the group: of each row of its `placed`, and by window of what no event tells. In every
    window all of a group's come to 1."""

    work: Work
    request: Floats
    untold: Floats


def share(busy_j: Floats, workers: Sequence[Worker]) -> list[Shared]:
    """`busy_j`: of the group by window, its baseline included."""
    windows = len(busy_j)
    tallies = [_Tally(worker, windows) for worker in workers]
    prompt_j = _total(tally.prompt_j for tally in tallies)
    decode_j = _decode_j(busy_j - prompt_j, tallies)
    per_joule, per_second, nobodys = _scales(prompt_j + _total(decode_j), tallies)
    return [
        tally.shared(joules * per_joule, per_joule, per_second, nobodys / len(tallies))
        for tally, joules in zip(tallies, decode_j, strict=True)
    ]


class _Tally:
    """One engine by window: what its requests and the tokens of no event come to."""

    def __init__(self, worker: Worker, windows: int) -> None:
        self._of, self._known, self.windows = worker.placed, worker.applied, windows
        of = worker.placed
        prefill, context, self.told_decode = (self.by_window(v) for v in (of.prefill, of.prefill_context, of.decode))
        self.missing_decode = worker.missing_decode
        missing_context = worker.missing_prefill * ratio(context, prefill, LEAST)
        self.work = Work(
            prefill=prefill + worker.missing_prefill,
            prefill_context=context + missing_context,
            decode=self.told_decode + worker.missing_decode,
            prefill_s=_prompting_s(of, windows),
        )
        known = worker.applied
        self.prompt_j = known.prefill_j * self.work.prefill + known.prefill_context_j * self.work.prefill_context
        self._missing_j = known.prefill_j * worker.missing_prefill + known.prefill_context_j * missing_context
        self.floor_j = known.decode_j * self.work.decode
        self._served_s = _served_s(of, windows)
        self.decoding_s = self.by_window(self._served_s)
        self.running_s = self.by_window(of.end_s - of.begin_s)

    def by_window(self, values: Floats) -> Floats:
        return summed(self._of.window, values, self.windows)

    def shared(self, decode: Floats, per_joule: Floats, per_second: Floats, nobodys: Floats) -> Shared:
        """`decode`: its part of what was busy, by window; `per_joule` of prompts' joules, `per_second` of time in the engine."""
        of, known, at = self._of, self._known, self._of.window
        prompt = known.prefill_j[at] * of.prefill + known.prefill_context_j[at] * of.prefill_context
        request = prompt * per_joule[at] + self._of_decode(decode) + (of.end_s - of.begin_s) * per_second[at]
        untold_output = decode * ratio(self.missing_decode, self.work.decode, LEAST)
        return Shared(self.work, request, self._missing_j * per_joule + untold_output + nobodys)

    def _of_decode(self, decode: Floats) -> Floats:
        """Each row's part of its engine's decoding: by tokens for output that took no time, by steps for the other."""
        of, at = self._of, self._of.window
        at_once = np.where(self._served_s > 0, 0.0, of.decode)
        per_token = ratio(decode, self.work.decode, LEAST)
        by_steps = per_token * np.maximum(self.told_decode - self.by_window(at_once), 0.0)
        return at_once * per_token[at] + self._served_s * ratio(by_steps, self.decoding_s)[at]


def _decode_j(left_j: Floats, tallies: Sequence[_Tally]) -> list[Floats]:
    """By engine: what its output costs before all is scaled, 0 without any. `left_j`: what prompts leave.

    Engines that share GPUs have each the least that its tokens cost, and of the rest a part by the time in which it decoded; by tokens
    where one of them does not tell when.
    """
    floor = _total(tally.floor_j for tally in tallies)
    rest = np.maximum(left_j - floor, 0.0)
    has = [tally.work.decode > LEAST for tally in tallies]
    timed = np.logical_and.reduce([~some | (one.decoding_s > 0) for some, one in zip(has, tallies, strict=True)])
    weights = [
        np.where(timed, tally.decoding_s, tally.work.decode) * some for tally, some in zip(tallies, has, strict=True)
    ]
    whole = _total(weights)
    return [
        np.where(some, tally.floor_j + rest * ratio(weight, whole), 0.0)
        for some, tally, weight in zip(has, tallies, weights, strict=True)
    ]


def _scales(work_j: Floats, tallies: Sequence[_Tally]) -> tuple[Floats, Floats, Floats]:
    """By window, what one joule of work and one second in the engine come to, and what is nobody's: in each window one of the three.

    Where nobody did any work, requests share by the time that they ran; where there were none either, no event tells of it.
    """
    running_s = _total(tally.running_s for tally in tallies)
    by_work: Bools = work_j > LEAST
    by_time: Bools = ~by_work & (running_s > LEAST)
    one = np.ones(len(work_j))
    return (
        np.where(by_work, ratio(one, work_j, LEAST), 0.0),
        np.where(by_time, ratio(one, running_s, LEAST), 0.0),
        np.where(by_work | by_time, 0.0, 1.0),
    )


def _total(by_engine: Iterable[Floats]) -> Floats:
    return np.asarray(np.sum(list(by_engine), axis=0), dtype=np.float64)


def _prompting_s(of: Placed, windows: int) -> Floats:
    chosen = of.prefill > 0
    at = edges(0, windows)
    return intervals.union(of.begin_s[chosen], of.first_s[chosen]).within(at[:-1], at[1:])


def _served_s(of: Placed, windows: int) -> Floats:
    """Of each row, the integral of dt / n over its time of output, n being the requests of the engine that decode."""
    lasts = (of.decode > 0) & (of.end_s > of.first_s)
    served = np.zeros(len(lasts))
    first, end = of.first_s[lasts], of.end_s[lasts]
    moments, at = np.unique(np.concatenate((edges(0, windows), first, end)), return_inverse=True)
    begins, ends = at[windows + 1 : windows + 1 + len(first)], at[windows + 1 + len(first) :]
    size = len(moments)
    decoding = np.cumsum(np.bincount(begins, minlength=size) - np.bincount(ends, minlength=size))[:-1]
    each = ratio(np.diff(moments), decoding.astype(np.float64))
    total = np.concatenate(([0.0], np.cumsum(each)))
    served[lasts] = np.maximum(total[ends] - total[begins], 0.0)
    return served
