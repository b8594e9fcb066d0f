"""What the running requests achieve in one tick: prompt tokens computed, output tokens produced, and when within the tick.

Prompts of an engine are computed one after the other in order of admission, as chunked prefill does it; each goes at the speed of
iterations that carry a chunk of prompt (`mixed`) beside every decoding sequence's token. The rest of the time is spent in iterations that
only decode (`pure`). Both kinds alternate many times within a tick, so all sequences that decode advance at the mean of the two speeds.
First tokens and ends fall where they fall, not on ticks.
"""

from dataclasses import dataclass

import numpy as np

from metering.simulator.engines import Engines
from metering.simulator.hardware import SEQUENCE_S
from metering.simulator.iteration import Batch, Iteration
from metering.simulator.pool import (
    ADMITTED,
    DECODES,
    DECODING,
    DONE,
    ENDED,
    FIRST,
    INPUT,
    LEFT,
    NEVER,
    OUTPUT,
    PREFILLING,
    STATE,
    WAITING,
    Floats,
    Ints,
    per_engine,
)


@dataclass(frozen=True)
class Tick:
    """From `start_s` for `length_s` seconds."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s


@dataclass(frozen=True)
class Prefill:
    """Per engine: time with prompts, and how much of the tick is left from the first of them on. Per column of `columns` (indexes into the
    pool): what was done to it."""

    busy_s: Floats
    left_s: Floats
    columns: Ints
    computed: Floats  # tokens
    context: Floats  # tokens that each of them attended to, on average
    finished: Ints  # columns whose prompt is now complete; FIRST is their time, unless an earlier one stands


@dataclass(frozen=True)
class Decode:
    """Per column of `columns`."""

    columns: Ints
    produced: Floats  # tokens, the first token of a prompt not among them
    context: Floats  # mean length of the sequence meanwhile
    seconds: Floats  # spent decoding


def batch_before(engines: Engines, live: Floats, engine: Ints, tick: Tick) -> Batch:
    """What iterations with a prompt's chunk hold in this tick. A chunk is what is usually there to be computed: a mean prompt, or what
    arrives during an iteration, but never more than the iteration takes."""
    decoding = live[STATE] == DECODING
    due = (live[STATE] == PREFILLING) & (live[ADMITTED] < tick.end_s)
    sequences = per_engine(decoding * 1.0, engine, engines.count)
    context = per_engine((live[INPUT] + live[DONE]) * decoding, engine, engines.count)
    left = live[LEFT] * due
    prompts = per_engine(due * 1.0, engine, engines.count)
    tokens = per_engine(left, engine, engines.count)
    floor_s = engines.overhead_s + SEQUENCE_S * sequences + engines.dense_bytes / engines.bandwidth
    per_iteration = np.maximum(tokens / np.maximum(prompts, 1), tokens * np.minimum(floor_s / tick.length_s, 1))
    room = np.maximum(engines.batched_tokens - sequences, engines.batched_tokens / 8)
    attended = per_engine(left * (live[INPUT] + live[DONE] - left / 2), engine, engines.count)
    return Batch(sequences, context, np.clip(per_iteration, 1, room), attended / np.maximum(tokens, 1))


def prefill(live: Floats, engine: Ints, mixed: Iteration, chunk: Floats, tick: Tick) -> Prefill:
    """Computes prompts, in order of admission. Changes LEFT, STATE, DONE and FIRST."""
    due = np.flatnonzero((live[STATE] == PREFILLING) & (live[ADMITTED] < tick.end_s))
    order = due[np.lexsort((live[ADMITTED, due], engine[due]))]
    of, left = engine[order], live[LEFT, order]
    takes_s = left * (mixed.seconds / chunk)[of]
    ends = tick.start_s + _in_turn(np.maximum(live[ADMITTED, order] - tick.start_s, 0), takes_s, of)
    begins = ends - takes_s
    spent = np.clip(np.minimum(ends, tick.end_s) - begins, 0, None)
    complete = ends <= tick.end_s
    computed = np.where(complete, left, left * spent / np.maximum(takes_s, 1e-12))
    length = live[INPUT, order] + live[DONE, order]
    context = length - left + computed / 2
    live[LEFT, order] = left - computed
    finished, at = order[complete], ends[complete]
    live[STATE, finished] = DECODING
    live[DECODES, finished] = at
    live[FIRST, finished] = np.where(live[FIRST, finished] == NEVER, at, live[FIRST, finished])
    left_s = np.full(len(chunk), tick.length_s)
    first = np.diff(of, prepend=-1) != 0
    left_s[of[first]] = tick.end_s - np.maximum(live[ADMITTED, order[first]], tick.start_s)
    return Prefill(per_engine(spent, of, len(chunk)), left_s, order, computed, context, finished)


def output_rate(done: Prefill, mixed: Iteration, pure: Iteration, decoding_before: Floats, tick: Tick) -> Floats:
    """Tokens per second and sequence, of each engine."""
    ran_s = np.where(decoding_before > 0, tick.length_s, done.left_s)
    with_prompt = np.minimum(done.busy_s / np.maximum(ran_s, 1e-9), 1.0)
    rate: Floats = with_prompt / mixed.seconds + (1 - with_prompt) / pure.seconds
    return rate


def batch_of(engines: Engines, live: Floats, engine: Ints, tick: Tick) -> tuple[Batch, Ints, Floats]:
    """What iterations that only decode hold on average while anything decodes; who decodes, and for how long (to the end of the tick)."""
    columns = np.flatnonzero(live[STATE] == DECODING)
    of = engine[columns]
    present = tick.end_s - np.maximum(live[DECODES, columns], tick.start_s)
    weight = present / tick.length_s
    sequences = per_engine(weight, of, engines.count)
    context = per_engine(weight * (live[INPUT, columns] + live[DONE, columns]), of, engines.count)
    # Fewer than one on average is one for a part of the time.
    scale = 1 / np.minimum(np.maximum(sequences, 1e-9), 1.0)
    nothing = np.zeros(engines.count)
    return Batch(sequences * scale, context * scale, nothing, nothing), columns, present


def decode(
    live: Floats, engine: Ints, *, columns: Ints, present_s: Floats, rate: Floats, tick: Tick, fresh: Ints
) -> Decode:
    """Produces output at `rate` tokens per second and sequence of each engine. Changes DONE and ENDED.

    `fresh` are the columns whose prompt was completed in this tick: that gave them a token.
    """
    live[DONE, fresh] += 1
    of = engine[columns]
    before, wanted = live[DONE, columns], live[OUTPUT, columns]
    speed = np.maximum(rate[of], 1e-9)
    needs_s = np.maximum(wanted - before, 0) / speed
    ends = needs_s <= present_s
    seconds = np.where(ends, needs_s, present_s)
    produced = np.where(ends, np.maximum(wanted - before, 0), speed * present_s)
    live[DONE, columns] = np.where(ends, np.maximum(wanted, 0), before + produced)
    started = np.maximum(live[DECODES, columns], tick.start_s)
    live[ENDED, columns] = np.where(ends, started + seconds, NEVER)
    return Decode(columns, produced, live[INPUT, columns] + before + produced / 2, seconds)


def busy_seconds(live: Floats, engine: Ints, engines: int, tick: Tick) -> Floats:
    """For how much of the tick at least one request ran, per engine."""
    columns = np.flatnonzero((live[STATE] != WAITING) & (live[ADMITTED] < tick.end_s))
    starts = np.maximum(live[ADMITTED, columns] - tick.start_s, 0)
    ends = np.where(live[ENDED, columns] == NEVER, tick.length_s, live[ENDED, columns] - tick.start_s)
    of = engine[columns]
    busy = np.zeros(engines)
    spanning = (starts <= 0) & (ends >= tick.length_s)
    busy[of[spanning]] = tick.length_s
    rest = np.flatnonzero(busy[of] == 0)
    order = rest[np.lexsort((starts[rest], of[rest]))]
    if len(order):
        of, starts, ends = of[order], starts[order], ends[order]
        first = np.diff(of, prepend=-1) != 0
        reached = _running_maximum(ends, of)
        before = np.where(first, starts, np.concatenate([[0.0], reached[:-1]]))
        np.add.at(busy, of, np.maximum(reached - np.maximum(starts, before), 0))
    return busy


def _in_turn(ready: Floats, takes: Floats, of: Ints) -> Floats:
    """When each ends that is served after those before it of the same engine, and not before it is ready (Lindley's recursion)."""
    total = np.cumsum(takes)
    first = np.diff(of, prepend=-1) != 0
    before = (total - takes)[first][np.cumsum(first) - 1] if len(of) else total
    served = total - before
    return served + _running_maximum(ready - (served - takes), of)


def _running_maximum(values: Floats, of: Ints) -> Floats:
    """Of each engine's values on their own; `of` ascends. A step that is larger than any value in a tick keeps the engines apart."""
    step = 1e6
    highest: Floats = np.maximum.accumulate(values + step * of) - step * of
    return highest
