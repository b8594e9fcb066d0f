"""What every engine counts, with vLLM's meaning of each: prompt tokens at the first token, output as it comes, the rest at the end."""

from dataclasses import dataclass

import numpy as np

from metering.simulator.pool import (
    ABORTED,
    ARRIVED,
    CACHED,
    CANCELLED,
    CUT,
    DONE,
    ENDED,
    FIRST,
    INPUT,
    NEVER,
    OUTCOME,
    STARTED,
    Flags,
    Floats,
    Ints,
)

COUNTERS = (
    "prompt_tokens",
    "cached_prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "preemptions",
    "finished_stop",
    "finished_length",
    "finished_abort",
    "ttft_sum_s",
    "ttft_count",
    "itl_sum_s",
    "itl_count",
    "tpot_sum_s",
    "tpot_count",
    "e2e_sum_s",
    "e2e_count",
    "queue_sum_s",
    "queue_count",
    "prefill_sum_s",
    "prefill_count",
    "decode_sum_s",
    "decode_count",
)
_AT = {name: index for index, name in enumerate(COUNTERS)}


@dataclass(frozen=True)
class Gauges:
    """Per engine, at one moment."""

    running: Floats
    waiting: Floats
    kv_cache_usage: Floats  # 0 to 1


class Counters:
    """(engines, COUNTERS): `true` from the start of the run, `shown` since the engine was last started."""

    def __init__(self, engines: int) -> None:
        self.true = np.zeros((engines, len(COUNTERS)))
        self._started = np.zeros_like(self.true)

    @property
    def shown(self) -> Floats:
        return self.true - self._started

    def value(self, engine: int, name: str) -> float:
        return float(self.true[engine, _AT[name]])

    def restart(self, engines: Flags) -> None:
        self._started[engines] = self.true[engines]

    def add_admitted(self, admitted: Floats, engine: Ints, again: Flags) -> None:
        """`again`: it was put out of the batch before, and its prompt is looked up in the cache without success."""
        self._add(engine, prefix_cache_queries=admitted[INPUT], prefix_cache_hits=np.where(again, 0, admitted[CACHED]))

    def add_preempted(self, engine: Ints) -> None:
        self._add(engine, preemptions=np.ones(len(engine)))

    def add_first_tokens(self, first: Floats, engine: Ints) -> None:
        self._add(
            engine,
            prompt_tokens=first[INPUT],
            cached_prompt_tokens=first[CACHED],
            ttft_sum_s=first[FIRST] - first[ARRIVED],
            ttft_count=np.ones(len(engine)),
        )

    def add_output(self, engine: Ints, tokens: Floats, intervals: Floats, seconds: Floats) -> None:
        """Of a tick: whole tokens, the intervals between tokens that ended in it, and time spent between tokens."""
        self._add(engine, generation_tokens=tokens, itl_count=intervals, itl_sum_s=seconds)

    def add_ended(self, ended: Floats, engine: Ints) -> None:
        aborted = (ended[ABORTED] > 0) | (ended[OUTCOME] == CANCELLED)
        self._add(
            engine,
            finished_abort=aborted * 1.0,
            finished_length=~aborted * ended[CUT],
            finished_stop=~aborted * (1 - ended[CUT]),
        )
        done = (ended[FIRST] != NEVER) & ~aborted
        self._add_latencies(ended[:, done], engine[done])

    def _add_latencies(self, done: Floats, engine: Ints) -> None:
        one = np.ones(len(engine))
        decoded = done[DONE] > 1
        decode_s = np.where(decoded, done[ENDED] - done[FIRST], 0)
        self._add(
            engine,
            e2e_sum_s=done[ENDED] - done[ARRIVED],
            e2e_count=one,
            queue_sum_s=done[STARTED] - done[ARRIVED],
            queue_count=one,
            prefill_sum_s=done[FIRST] - done[STARTED],
            prefill_count=one,
            decode_sum_s=decode_s,
            decode_count=one,
            tpot_sum_s=decode_s / np.maximum(done[DONE] - 1, 1),
            tpot_count=decoded * 1.0,
        )

    def _add(self, engine: Ints, **amounts: Floats) -> None:
        if len(engine):
            is_of = engine[:, None] == np.arange(len(self.true))
            self.true[:, [_AT[name] for name in amounts]] += (np.stack(list(amounts.values())) @ is_of).T
