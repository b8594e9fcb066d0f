"""How latencies and lengths are spread over time: what heatmaps are drawn from. A sketch answers for any level: many are the spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live_sources import COUNTS, Piece, Subset, union

# The column of the sketch, by what is measured.
LENGTHS = {"input_tokens": "input_length", "output_tokens": "output_length"}
MEASURES = {name: name for name in ("ttft_ms", "tpot_ms", "e2e_ms", "queue_ms")} | LENGTHS
LEVELS = 200
STEP = "intDiv(at_s - %(from_0)s, %(step_s)s) * %(step_s)s + %(from_0)s AS step_start"


@dataclass(frozen=True)
class Spread:
    """One row for each step of `step_s` seconds that has requests: its start (epoch s), how many requests, and the values at
    the levels 0, 1 / LEVELS, ... 1; NaN where nothing was measured. Of n values, level l is number floor(l * (n - 1)) in their order."""

    name: ClassVar[str] = "live_spread"
    pieces: tuple[Piece, ...]  # one after the other
    step_s: int
    measure: str
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: one of {', '.join(MEASURES)}")
        # Of tenants, only hours and days without any other filter have lengths; requests lie in the order of tenant and time.
        narrower = len(self.subset.parameters()) > 1 or any(piece.grain == "minute" for piece in self.pieces)
        if self.measure in LENGTHS and self.subset.tenant is not None and narrower:
            return self._of_requests()
        sketch = MEASURES[self.measure]
        rows, parameters = union(self.pieces, self.subset, None, (sketch,))
        counted = " + ".join(f"sum(r.c_{name})" for name in COUNTS[:3])
        text = f"""
            SELECT {STEP}, {counted} AS requests, quantilesDDMerge(0.01, {_levels()})(r.s_{sketch}) AS spread
            FROM ({rows}) AS r GROUP BY step_start ORDER BY step_start
        """
        return text, parameters | {"step_s": self.step_s}

    def _of_requests(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT {STEP}, count() AS requests, quantilesDD(0.01, {_levels()})(toFloat32(value)) AS spread
            FROM
            (
                SELECT toUnixTimestamp(toDateTime(time, 'UTC')) AS at_s, {self.measure} AS value FROM requests
                WHERE time >= toDateTime(%(from_0)s, 'UTC') AND time < toDateTime(%(until_s)s, 'UTC') AND {self.subset.where()}
            )
            GROUP BY step_start ORDER BY step_start
        """
        bounds = {"from_0": self.pieces[0].from_s, "until_s": self.pieces[-1].until_s, "step_s": self.step_s}
        return text, bounds | self.subset.parameters()


def _levels() -> str:
    """A little above, so that no rounding takes the value before the one that is meant."""
    return ", ".join(str(min(level / LEVELS + 1e-9, 1)) for level in range(LEVELS + 1))
