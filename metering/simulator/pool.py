"""The requests that an engine holds, waiting or running: one column each in a matrix of doubles, in order of arrival.

A matrix, because a tick touches every request some dozens of times and drops a few. Whole numbers are exact in a double up to 2^53.
Times are seconds since the run began. Arrivals come as the first ARRIVAL_ROWS rows of such a matrix.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# What a request is when it arrives. TIER and PROJECT are indexes (plan.TIERS; the tenant's projects), MODEL and TENANT the plan's.
ARRIVED, TENANT, MODEL, TIER, INPUT, CACHED, OUTPUT, REASONING, STREAM, CUT, OUTCOME, PROJECT, NUMBER = range(13)
ARRIVAL_ROWS = 13
# What becomes of it. STARTED is its first admission (queueing ends), ADMITTED the latest; FIRST the first token; DECODES since when it
# decodes; LEFT the prompt tokens still to compute; DONE the output so far, a fraction between two tokens; KEY its cell in the truth; JOULES
# what was burned for it so far, by work.
ENGINE, ABORTED, STATE, LEFT, DONE, STARTED, ADMITTED, FIRST, KEY, JOULES, PREEMPTED, ENDED, DECODES = range(13, 26)
ROWS = 26

WAITING, PREFILLING, DECODING = 0.0, 1.0, 2.0
SERVED, CANCELLED, FAILED = 0.0, 1.0, 2.0  # OUTCOME
NEVER = -1.0  # a time that has not come


class Pool:
    def __init__(self) -> None:
        self._matrix = np.zeros((ROWS, 1024))
        self.count = 0

    @property
    def live(self) -> Floats:
        """(ROWS, count), to read and to write."""
        return self._matrix[:, : self.count]

    def add(self, arrivals: Floats, engine: Ints, aborted: Flags, key: Ints) -> None:
        """Requests at the end of their engines' queues. `arrivals` is (ARRIVAL_ROWS, n)."""
        count = arrivals.shape[1]
        while self.count + count > self._matrix.shape[1]:
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)], axis=1)
        new = self._matrix[:, self.count : self.count + count]
        new[:ARRIVAL_ROWS] = arrivals
        new[ARRIVAL_ROWS:] = 0
        new[ENGINE], new[ABORTED], new[KEY] = engine, aborted, key
        new[LEFT] = arrivals[INPUT] - arrivals[CACHED]
        new[[STARTED, ADMITTED, FIRST, ENDED]] = NEVER
        self.count += count

    def take(self, gone: Flags) -> Floats:
        """Removes those columns and returns a copy of them, (ROWS, n)."""
        live = self.live
        taken = live[:, gone]
        kept = live[:, ~gone]
        self.count = kept.shape[1]
        self._matrix[:, : self.count] = kept
        return taken


def per_engine(values: Floats | None, engine: Ints, engines: int) -> Floats:
    """The sum of `values` of each engine's requests; how many they are, if there are no values."""
    return np.bincount(engine, weights=values, minlength=engines).astype(np.float64, copy=False)
