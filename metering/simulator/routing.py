"""Which engine a request goes to, and whether it will end without an event.

The request goes to the engine of its model with the fewest requests per GPU. Which streams are aborted is not drawn but counted off, for
every engine and every octave of length on its own: each request adds the share, and the one that completes a whole is aborted. So the share
holds for requests and, within a few hundredths of a point, for tokens, on every engine.
"""

import math
from collections.abc import Sequence

import numpy as np

from metering.simulator.engines import Engines
from metering.simulator.pool import INPUT, MODEL, OUTPUT, Flags, Floats, Ints

NOWHERE = -1
_OCTAVES = 48  # of lengths: 2^48 tokens is beyond any


class Router:
    def __init__(self, engines: Engines) -> None:
        self._gpus = engines.gpus.tolist()
        self._engines_of = [
            [engine for engine in range(engines.count) if engines.model[engine] == model]
            for model in range(int(engines.model.max()) + 1)
        ]
        self._counted = [[0.5] * _OCTAVES for _ in range(engines.count)]  # a half, so that it is neither early nor late

    def route(
        self, arrivals: Floats, load: Floats, up: Sequence[bool], room: Sequence[float], aborted: float
    ) -> tuple[Ints, Flags]:
        """The engine of each arrival, NOWHERE if none is up or can ever hold it, and whether it is aborted.

        `load` is the number of requests per engine, `room` the longest sequence that fits, in tokens.
        """
        loads = load.tolist()
        chosen: list[int] = []
        abort: list[bool] = []
        for model, length in zip(
            arrivals[MODEL].astype(int).tolist(), (arrivals[INPUT] + arrivals[OUTPUT]).tolist(), strict=True
        ):
            fitting = [engine for engine in self._engines_of[model] if up[engine] and length <= room[engine]]
            if not fitting:
                chosen.append(NOWHERE)
                abort.append(False)
                continue
            best = min(fitting, key=lambda engine: loads[engine] / self._gpus[engine])
            loads[best] += 1
            chosen.append(best)
            abort.append(self._counts_off(best, length, aborted))
        return np.array(chosen, dtype=np.int64), np.array(abort, dtype=np.bool_)

    def _counts_off(self, engine: int, length: float, share: float) -> bool:
        octave = int(math.log2(max(length, 1)))
        counted = self._counted[engine][octave] + share
        whole = counted >= 1
        self._counted[engine][octave] = counted - whole
        return whole
