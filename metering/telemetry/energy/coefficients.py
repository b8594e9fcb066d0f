"""What tokens cost: of a model on a kind of GPU, as of a moment. Fitted from windows (fitting.py), or assumed before there are any."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from metering.telemetry.energy.arrays import Floats, Ints, floats

# Assumed until there is data: a prompt token costs the same whatever stands before it, and output what prompts leave of a window, but
# not less than this. What is divided is always the counter's.
# Prefill is bound by compute: 2 FLOP per parameter and token (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), so for 8 billion
# parameters 16 GFLOP, at 700 W and half of the 989 TFLOP/s of an H100 SXM (NVIDIA's data sheet, dense bf16; the half is an assumption).
ASSUMED_PREFILL_J = 16e9 * 700 / (0.5 * 989e12)
# Decode of Llama-3.1-8B on an H100: 0.07 to 0.46 J per output token by batch size (ML.ENERGY Leaderboard v3, December 2025: ml.energy);
# the geometric mean of the two.
ASSUMED_DECODE_J = (0.07 * 0.46) ** 0.5
ASSUMED_PREFILL_CONTEXT_J = 0.0
ASSUMED_ID = 0


@dataclass(frozen=True)
class Coefficients:
    """Joules, the baseline included: of a prompt token computed, and more for each token that stands before it; the least for an output
    token. `from_s`: the windows from this moment on (epoch seconds) are divided by it, until a later one."""

    id: int
    model: str
    product: str  # the GPU's name
    simulated: bool
    prefill_j: float
    prefill_context_j: float
    decode_j: float
    from_s: int


@dataclass
class Book:
    """All coefficients in force, by model, product and whether they are simulated."""

    _kept: dict[tuple[str, str, bool], list[Coefficients]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, rows: Iterable[Coefficients]) -> "Book":
        book = cls()
        for row in sorted(rows, key=lambda row: (row.from_s, row.id)):
            book._kept[row.model, row.product, row.simulated].append(row)
        return book

    def at(self, model: str, product: str, simulated: bool, at_s: int) -> Coefficients:
        rows = self._kept.get((model, product, simulated), [])
        found = bisect_right(rows, at_s, key=lambda row: row.from_s)
        if found:
            return rows[found - 1]
        assumed = ASSUMED_PREFILL_J, ASSUMED_PREFILL_CONTEXT_J, ASSUMED_DECODE_J
        return Coefficients(ASSUMED_ID, model, product, simulated, *assumed, 0)


@dataclass(frozen=True)
class Applied:
    """The coefficients of one engine by window."""

    prefill_j: Floats
    prefill_context_j: Floats
    decode_j: Floats
    id: Ints


def applied(book: Book, keys: Iterable[tuple[str, str, bool, int]]) -> Applied:
    """`keys`: model, product, simulated and the moment, for each window."""
    rows = [book.at(*key) for key in keys]
    return Applied(
        floats([row.prefill_j for row in rows]),
        floats([row.prefill_context_j for row in rows]),
        floats([row.decode_j for row in rows]),
        np.array([row.id for row in rows], dtype=np.int64),
    )
