"""The fleet as it goes through time, one tick after the other. Everything follows from the plan: the same plan gives the same run."""

from dataclasses import dataclass

import numpy as np

from metering.simulator.boards import Boards
from metering.simulator.burning import burn
from metering.simulator.counters import Counters, Gauges
from metering.simulator.engines import Engines, Limits
from metering.simulator.iteration import iteration
from metering.simulator.plan import Plan
from metering.simulator.pool import (
    ABORTED,
    ADMITTED,
    ARRIVAL_ROWS,
    ARRIVED,
    CANCELLED,
    DONE,
    ENDED,
    ENGINE,
    FAILED,
    FIRST,
    INPUT,
    JOULES,
    KEY,
    NEVER,
    OUTCOME,
    PREEMPTED,
    ROWS,
    STARTED,
    STATE,
    TENANT,
    TIER,
    WAITING,
    Flags,
    Floats,
    Ints,
    Pool,
    per_engine,
)
from metering.simulator.progress import (
    Decode,
    Prefill,
    Tick,
    batch_before,
    batch_of,
    busy_seconds,
    decode,
    output_rate,
    prefill,
)
from metering.simulator.routing import NOWHERE, Router
from metering.simulator.scheduling import BLOCK, WATERMARK, admit, given_up, occupied, preempt, refill
from metering.simulator.traffic import DrawnTraffic, Traffic
from metering.simulator.truth import Truth
from metering.simulator.work import weights

_REFUSED_S = 0.005  # what a gateway takes to refuse a request
_LONGEST = 0.9  # of an engine's KV cache is the longest sequence that is sent to it


@dataclass(frozen=True)
class Finished:
    """Requests that ended, in order of time: columns of a (ROWS, n) matrix. Those with ABORTED set have no event."""

    rows: Floats

    def __len__(self) -> int:
        return int(self.rows.shape[1])


class Fleet:
    """`traffic` is drawn from the plan's tenants unless it is given. Of the truth all minutes are kept, or the latest `keep_minutes`."""

    def __init__(self, plan: Plan, traffic: Traffic | None = None, *, keep_minutes: int | None = None) -> None:
        self.plan = plan
        self.engines = Engines(plan)
        self.limits = Limits(self.engines)
        self._weights = weights(self.engines)
        self.boards = Boards(plan, self.engines)
        self.counters = Counters(self.engines.count)
        self.truth = Truth(plan, self.engines.count, keep_minutes)
        self._traffic = traffic or DrawnTraffic(plan)
        self._router = Router(self.engines)
        self._pool = Pool()
        self._rng = np.random.Generator(np.random.PCG64([plan.seed, 0xF1EE7]))
        self._ticks = 0
        self._step_s = np.full(self.engines.count, 0.02)  # of the iterations in the latest tick
        edges = {edge for change in plan.changes for edge in (change.start_s, change.end_s)}
        self._edges = sorted(edges | {0.0}, reverse=True)

    @property
    def time_ms(self) -> int:
        """The present, milliseconds since 1970: everything before it has happened."""
        return self.plan.start_ms + round(self._now_s * 1000)

    @property
    def _now_s(self) -> float:
        return self._ticks * self.plan.tick_s

    def step(self, until_ms: int) -> Finished:
        """Goes on to the last tick that ends at `until_ms` or before; gives the requests that ended meanwhile."""
        ended = []
        while self.plan.start_ms + round((self._ticks + 1) * self.plan.tick_s * 1000) <= until_ms:
            ended += self._tick()
        rows = np.concatenate(ended, axis=1) if ended else np.zeros((ROWS, 0))
        return Finished(rows[:, np.argsort(rows[ENDED], kind="stable")])

    def gauges(self) -> Gauges:
        live = self._pool.live
        engine = live[ENGINE].astype(np.int64)
        # Admitted for a time to come is still in the queue.
        running = (live[STATE] != WAITING) & (live[ADMITTED] <= self._now_s)
        used = occupied(live, engine, self.engines.count).kv_tokens
        return Gauges(
            per_engine(running * 1.0, engine, self.engines.count),
            per_engine(~running * 1.0, engine, self.engines.count),
            np.clip(used / self.limits.kv_tokens, 0, 1),
        )

    def _tick(self) -> list[Floats]:
        tick = Tick(self._now_s, self.plan.tick_s)
        ended = []
        if self._edges and self._edges[-1] <= tick.start_s:
            self._follow_script(tick.start_s)
        ended.append(self._arrive(tick))
        ended.append(self._give_up(tick))
        self._admit(tick)
        self._run(tick)
        left = self._end()
        ended.append(left)
        self._preempt()
        self._refill(left, tick)
        self._ticks += 1
        if (self.time_ms - self.plan.start_ms) % 60_000 == 0:
            self.truth.end_minute(self.time_ms - 60_000)
        return [rows for rows in ended if rows.shape[1]]

    def _follow_script(self, now_s: float) -> None:
        while self._edges and self._edges[-1] <= now_s:
            self._edges.pop()
        was_up, nodes_were_up = self.limits.up, self.limits.node_up
        holding = tuple(change for change in self.plan.changes if change.holds(now_s))
        self.limits.apply(holding, aborted=self.plan.aborted)
        stopped = was_up & ~self.limits.up
        for node in np.flatnonzero(nodes_were_up & ~self.limits.node_up):
            self.boards.switch_off(int(node))
        if stopped.any():
            live = self._pool.live
            lost = self._pool.take(stopped[live[ENGINE].astype(np.int64)])
            self.truth.add_lost(lost[TENANT].astype(np.int64), lost[JOULES])
            self.counters.restart(stopped)

    def _arrive(self, tick: Tick) -> Floats:
        """Sends what arrives in the tick to engines; returns what none takes."""
        arrivals = self._traffic.until(tick.end_s)
        if not arrivals.shape[1]:
            return np.zeros((ROWS, 0))
        refused = arrivals[:, arrivals[OUTCOME] == FAILED]
        arrivals = arrivals[:, arrivals[OUTCOME] != FAILED]
        live = self._pool.live
        load = per_engine(None, live[ENGINE].astype(np.int64), self.engines.count)
        room = (self.limits.kv_tokens * _LONGEST).tolist()
        engine, aborted = self._router.route(arrivals, load, self.limits.up.tolist(), room, self.limits.aborted)
        taken = engine != NOWHERE
        sent, engine, aborted = arrivals[:, taken], engine[taken], aborted[taken]
        indexes = sent[[TENANT, TIER]].astype(np.int64)
        self._pool.add(sent, engine, aborted, self.truth.key(engine, indexes[0], indexes[1], aborted.astype(np.int64)))
        return _refused(np.concatenate([refused, arrivals[:, ~taken]], axis=1))

    def _give_up(self, tick: Tick) -> Floats:
        """Who has waited too long, or has grown too long for what is left of the KV cache, leaves with what it has."""
        live = self._pool.live
        waiting = live[STATE] == WAITING
        if not waiting.any():
            return np.zeros((ROWS, 0))
        room = self.limits.kv_tokens[live[ENGINE].astype(np.int64)] * (1 - WATERMARK)
        leaves = given_up(live, tick.start_s, self.plan.patience_s)
        leaves |= waiting & (live[INPUT] + live[DONE] + 2 * BLOCK > room)
        if not leaves.any():
            return np.zeros((ROWS, 0))
        gone = self._pool.take(leaves)
        gone[OUTCOME], gone[ENDED] = CANCELLED, tick.start_s
        self.counters.add_ended(gone, gone[ENGINE].astype(np.int64))
        return gone

    def _admit(self, tick: Tick) -> None:
        live = self._pool.live
        engine = live[ENGINE].astype(np.int64)
        taken = occupied(live, engine, self.engines.count)
        rest_s = self._rng.random(len(engine)) * np.where(taken.sequences > 0, self._step_s, 0.0)[engine]
        admitted = admit(live, engine, taken, self.limits, now_s=tick.start_s, next_step_s=rest_s)
        self._count_admitted(live[:, admitted], engine[admitted])

    def _run(self, tick: Tick) -> None:
        """The engines' work of the tick, and all that is counted of it."""
        live = self._pool.live
        engine = live[ENGINE].astype(np.int64)
        cap_w, clock = self.boards.cap_w(self.limits), self.boards.highest_clock()
        before = batch_before(self.engines, live, engine, tick)
        mixed = iteration(self.engines, before, self.limits.slowness, cap_w, clock)
        is_first = live[FIRST] == NEVER
        prompts = prefill(live, engine, mixed, before.chunk, tick)
        batch, columns, present_s = batch_of(self.engines, live, engine, tick)
        pure = iteration(self.engines, batch, self.limits.slowness, cap_w, clock)
        rate = output_rate(prompts, mixed, pure, before.decoding, tick)
        whole_before = np.floor(live[DONE])
        output = decode(
            live, engine, columns=columns, present_s=present_s, rate=rate, tick=tick, fresh=prompts.finished
        )
        busy_s = busy_seconds(live, engine, self.engines.count, tick)
        burned = burn(
            self.engines,
            self._weights,
            engine,
            (prompts, output),
            (mixed, pure),
            busy_s=busy_s,
            idle_w=self.limits.idle_w,
            tick=tick,
        )
        gpu_j = self.boards.advance(burned, self.limits, tick)
        self._step_s = np.where(prompts.busy_s > busy_s / 2, mixed.seconds, pure.seconds)
        live[JOULES] += burned.request_j
        produced = np.floor(live[DONE]) - whole_before
        computed = np.zeros(len(engine))
        computed[prompts.columns] = prompts.computed
        self.truth.add_requests(live[KEY].astype(np.int64), burned.request_j, burned.caused_j, computed, produced)
        self.truth.add_boards(burned.idle_j, gpu_j, self.boards.engine, self.boards.node)
        self._count(live, engine, is_first, done=(prompts, output), produced=produced)

    def _count(
        self, live: Floats, engine: Ints, is_first: Flags, *, done: tuple[Prefill, Decode], produced: Floats
    ) -> None:
        prompts, output = done
        first = prompts.finished[is_first[prompts.finished]]
        self.counters.add_first_tokens(live[:, first], engine[first])
        intervals = produced.copy()
        intervals[first] -= 1  # a first token ends no interval
        between = intervals[output.columns].clip(0, None)
        self.counters.add_output(engine[output.columns], produced[output.columns], between, output.seconds)

    def _end(self) -> Floats:
        live = self._pool.live
        ended = live[ENDED] != NEVER
        if not ended.any():
            return np.zeros((ROWS, 0))
        gone = self._pool.take(ended)
        self.counters.add_ended(gone, gone[ENGINE].astype(np.int64))
        return gone

    def _refill(self, left: Floats, tick: Tick) -> None:
        live = self._pool.live
        if left.shape[1] and (live[STATE] == WAITING).any():
            engine = live[ENGINE].astype(np.int64)
            admitted = refill(live, engine, left, self.limits, tick)
            self._count_admitted(live[:, admitted], engine[admitted])

    def _count_admitted(self, admitted: Floats, engine: Ints) -> None:
        self.counters.add_admitted(admitted, engine, admitted[PREEMPTED] > 0)

    def _preempt(self) -> None:
        live = self._pool.live
        engine = live[ENGINE].astype(np.int64)
        out = preempt(live, engine, self.limits)
        if len(out):
            self.counters.add_preempted(engine[out])


def _refused(arrivals: Floats) -> Floats:
    """Columns of requests that no engine took."""
    rows = np.zeros((ROWS, arrivals.shape[1]))
    rows[:ARRIVAL_ROWS] = arrivals
    rows[OUTCOME], rows[ENGINE], rows[ABORTED] = FAILED, NOWHERE, 0
    rows[[STARTED, ADMITTED, FIRST]] = NEVER
    rows[ENDED] = arrivals[ARRIVED] + _REFUSED_S
    return rows
