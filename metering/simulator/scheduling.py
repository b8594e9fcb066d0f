"""Continuous batching: who is let into the batch, who is put out of it again, who gives up.

As vLLM does it: in order of tier and arrival, as long as sequences and KV blocks are free, and nobody overtakes one that does not fit; when
the KV cache runs out while sequences grow, the latest admitted goes back to the queue and its tokens are computed again. One difference: a
prompt's blocks are all taken at admission, not chunk by chunk.
"""

from dataclasses import dataclass

import numpy as np

from metering.simulator.engines import Limits
from metering.simulator.pool import (
    ADMITTED,
    ARRIVED,
    DONE,
    ENDED,
    ENGINE,
    INPUT,
    LEFT,
    NEVER,
    PREEMPTED,
    PREFILLING,
    STARTED,
    STATE,
    TIER,
    WAITING,
    Flags,
    Floats,
    Ints,
    per_engine,
)
from metering.simulator.progress import Tick

BLOCK = 16.0  # tokens of a KV block
WATERMARK = 0.01  # of the blocks is kept free at admission
_TIER_S = 1e8  # longer than any run: a higher tier comes first, whoever arrived earlier


@dataclass(frozen=True)
class Occupied:
    """Per engine."""

    sequences: Floats
    kv_tokens: Floats


def occupied(live: Floats, engine: Ints, engines: int) -> Occupied:
    running = live[STATE] != WAITING
    return Occupied(
        per_engine(running.astype(np.float64), engine, engines),
        per_engine(_kv_tokens(live) * running, engine, engines),
    )


@dataclass(frozen=True)
class _Queue:
    """Who waits, engine by engine in the order of service. `needed`: KV tokens with those of all before. `place`: how many are before."""

    columns: Ints
    engine: Ints
    needed: Floats
    place: Ints


def admit(live: Floats, engine: Ints, taken: Occupied, limits: Limits, *, now_s: float, next_step_s: Floats) -> Ints:
    """Lets in who fits at the beginning of a tick; returns their columns.

    One that waited begins now. One that arrives within the tick begins at its arrival and, if the engine is at work, at the end of the
    iteration that runs then: after `next_step_s` (one value per column).
    """
    queue = _queue(live, engine)
    if not len(queue.columns):
        return queue.columns
    admitted = _fitting(queue, _free(taken, limits), limits)
    columns = queue.columns[admitted]
    arrived = live[ARRIVED, columns]
    _let_in(live, columns, np.where(arrived > now_s, arrived + next_step_s[columns], now_s))
    return columns


def refill(live: Floats, engine: Ints, ended: Floats, limits: Limits, tick: Tick) -> Ints:
    """Gives what `ended` left in this tick to who waits, at the moment it was left; returns the columns of who was let in.

    They begin to work with the next tick, but they queue no longer. (What sequences grew meanwhile is taken as needed from the start.)
    """
    queue = _queue(live, engine)
    if not len(queue.columns):
        return queue.columns
    free = _free(occupied(live, engine, len(limits.kv_tokens)), limits)
    admitted = _fitting(queue, free, limits)
    left_by = ended[ENGINE].astype(np.int64)
    begins = np.full(len(admitted), tick.end_s)
    for of in np.unique(queue.engine[admitted]):
        gone = np.flatnonzero(left_by == of)
        gone = gone[np.argsort(ended[ENDED, gone])]
        times = np.concatenate([[tick.start_s], ended[ENDED, gone]])
        who = admitted & (queue.engine == of)
        # What was free at each of those times is what is free at the end, less what was left later.
        kv = free.kv_tokens[of] - _still_to_come(_kv_tokens(ended[:, gone]))
        places = free.sequences[of] - _still_to_come(np.ones(len(gone)))
        at = np.maximum(np.searchsorted(kv, queue.needed[who]), np.searchsorted(places, queue.place[who] + 1))
        begins[who] = times[np.minimum(at, len(gone))]
    columns = queue.columns[admitted]
    _let_in(live, columns, np.maximum(begins[admitted], live[ARRIVED, columns]))
    return columns


def _queue(live: Floats, engine: Ints) -> _Queue:
    waiting = np.flatnonzero(live[STATE] == WAITING)
    if not len(waiting):
        return _Queue(waiting, waiting, np.zeros(0), waiting)
    order = waiting[np.lexsort((live[ARRIVED, waiting] + _TIER_S * live[TIER, waiting], engine[waiting]))]
    of = engine[order]
    need = _kv_tokens(live[:, order]) + BLOCK
    starts = np.diff(of, prepend=-1) != 0
    first, group = np.flatnonzero(starts), np.cumsum(starts) - 1
    total = np.cumsum(need)
    return _Queue(order, of, total - (total[first] - need[first])[group], np.arange(len(order)) - first[group])


def _free(taken: Occupied, limits: Limits) -> Occupied:
    return Occupied(limits.max_sequences - taken.sequences, limits.kv_tokens * (1 - WATERMARK) - taken.kv_tokens)


def _fitting(queue: _Queue, free: Occupied, limits: Limits) -> Flags:
    of = queue.engine
    fits: Flags = (queue.needed <= free.kv_tokens[of]) & (queue.place < free.sequences[of]) & limits.up[of]
    return fits


def _let_in(live: Floats, columns: Ints, begins: Floats) -> None:
    live[STATE, columns] = PREFILLING
    live[ADMITTED, columns] = begins
    live[STARTED, columns] = np.where(live[STARTED, columns] == NEVER, begins, live[STARTED, columns])


def _still_to_come(left: Floats) -> Floats:
    """Before the first and after each of them: the sum of those that come later."""
    return np.concatenate([[left.sum()], left.sum() - np.cumsum(left)])


def given_up(live: Floats, now_s: float, patience_s: float) -> Flags:
    """Who waits for a first admission and has waited too long."""
    too_long: Flags = (live[STATE] == WAITING) & (live[STARTED] == NEVER) & (now_s - live[ARRIVED] > patience_s)
    return too_long


def preempt(live: Floats, engine: Ints, limits: Limits) -> Ints:
    """Puts out the latest admitted of the lowest tier until the rest fits; returns their columns."""
    engines = len(limits.kv_tokens)
    over = occupied(live, engine, engines).kv_tokens - limits.kv_tokens
    out: list[int] = []
    for crowded in np.flatnonzero(over > 0):
        running = np.flatnonzero((engine == crowded) & (live[STATE] != WAITING))
        latest = running[np.lexsort((live[ADMITTED, running], live[TIER, running]))][::-1]
        freed = np.cumsum(_kv_tokens(live[:, latest]))
        # The last one stays, however long it grows: it could never finish otherwise.
        out.extend(latest[: min(int(np.searchsorted(freed, over[crowded])) + 1, len(latest) - 1)].tolist())
    columns = np.array(out, dtype=np.int64)
    live[STATE, columns] = WAITING
    live[DONE, columns] = np.floor(live[DONE, columns])
    live[LEFT, columns] = live[INPUT, columns] + live[DONE, columns]  # what was cached has been given away meanwhile
    live[PREEMPTED, columns] += 1
    return columns


def _kv_tokens(live: Floats) -> Floats:
    """With the half block that is empty on average."""
    tokens: Floats = live[INPUT] + live[DONE] + BLOCK / 2
    return tokens
