"""How much load brings each constraint to its saturation point: measured, from what readings were at what load. Pure.

A block (an hour, or ten minutes while there is little) of a pool has a load, in tokens a second for each GPU, and for each constraint
the reading that nine of ten engine-minutes stayed below, over its saturation point. A straight line through the busier blocks,
fitted so that outliers count little, says how the reading grows; resampling whole groups of blocks, how sure that is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KV_CACHE, MEMORY_BANDWIDTH, COMPUTE, POWER, QUEUE = "kv_cache", "memory_bandwidth", "compute", "power", "queue"
LINEAR = (KV_CACHE, MEMORY_BANDWIDTH, COMPUTE, POWER)
LIMITS = (*LINEAR, QUEUE)

ESTIMATED, FAR, FLAT, UNSEEN, FEW = "estimated", "far", "flat", "unseen", "few"
LEAST_BLOCKS = 12
LEAST_MINUTES = 60
FURTHEST = 5.0  # a limit further than so many times the highest load seen is not claimed
BUSY_FROM = 0.25  # of the highest load: what goes on below says little about what goes on at the limit
RESAMPLED = 40
HIGHEST = 0.99  # the quantile of load that counts as the highest seen
HUBER = 1.345
ROUNDS = 12
SEED = 20_261


@dataclass(frozen=True)
class Blocks:
    """Of one pool, in order of time. `prefill` and `decode`: computed prompt tokens and output tokens a second for each GPU. `readings`:
    by constraint, over the saturation point, NaN where it is not known. `minutes`: engine-minutes that a block rests on. `group`: which
    blocks belong together (a day, an hour): they are alike, so they are resampled together."""

    prefill: Floats
    decode: Floats
    readings: Mapping[str, Floats]
    minutes: Floats
    group: npt.NDArray[np.int64]

    @property
    def total(self) -> Floats:
        return np.asarray(self.prefill + self.decode, dtype=np.float64)


@dataclass(frozen=True)
class Line:
    """reading = base + per_prefill x prefill + per_decode x decode; `others` are the same three of each resample."""

    base: float
    per_prefill: float
    per_decode: float
    others: tuple[tuple[float, float, float], ...] = ()

    def at(self, prefill: Floats, decode: Floats) -> Floats:
        return np.asarray(np.maximum(self.base + self.per_prefill * prefill + self.per_decode * decode, 0.0))

    def grows(self, prefill: float, decode: float) -> float:
        """By how much the reading rises from no load to this one."""
        return self.per_prefill * prefill + self.per_decode * decode


@dataclass(frozen=True)
class Limit:
    """`state`: ESTIMATED; FAR, the limit is beyond FURTHEST times the highest load seen; FLAT, the reading does not rise with load;
    UNSEEN, a queue that was never long enough; FEW, too few minutes. `at`: tokens a second for each GPU, at the mix of the busy hours, at
    which the reading reaches its point, `low` and `high` its 90 % interval. `highest`: the highest load seen. `error`: the mean
    absolute difference of a block's reading from the line, in shares of the saturation point."""

    constraint: str
    state: str
    blocks: int
    minutes: int
    highest: float
    at: float | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    line: Line | None = None

    @property
    def stretch(self) -> float | None:
        """The limit over the highest load seen."""
        return self.at / self.highest if self.at is not None and self.highest > 0 else None


@dataclass(frozen=True)
class Mix:
    """Of the busy blocks: the share of the tokens that is prefill, and the load that counts as the highest."""

    prefill: float
    highest: float
    busy: npt.NDArray[np.bool_] = field(repr=False)


def mix_of(blocks: Blocks) -> Mix:
    total = blocks.total
    highest = float(np.quantile(total, HIGHEST)) if total.size else 0.0
    busy = total >= BUSY_FROM * highest if highest > 0 else np.zeros(total.size, bool)
    tokens = float(total[busy].sum())
    return Mix(float(blocks.prefill[busy].sum()) / tokens if tokens else 0.5, highest, busy)


def limits(blocks: Blocks) -> dict[str, Limit]:
    """By constraint; those whose reading nobody tells are left out."""
    mix = mix_of(blocks)
    found = {}
    for name in LIMITS:
        reading = blocks.readings.get(name)
        if reading is not None and np.isfinite(reading).any():
            found[name] = (_queue if name == QUEUE else _linear)(name, blocks, reading, mix)
    return found


def _linear(name: str, blocks: Blocks, reading: Floats, mix: Mix) -> Limit:
    used = mix.busy & np.isfinite(reading)
    count, minutes = int(used.sum()), int(blocks.minutes[used].sum())
    if count < LEAST_BLOCKS or minutes < LEAST_MINUTES:
        return Limit(name, FEW, count, minutes, mix.highest)
    prefill, decode, y = blocks.prefill[used], blocks.decode[used], reading[used]
    base, *slopes = robust(prefill, decode, y)
    others = tuple(_resamples(prefill, decode, y, blocks.group[used]))
    line = Line(base, slopes[0], slopes[1], others)
    error = float(np.mean(np.abs(y - line.at(prefill, decode))))
    known = Limit(name, FLAT, count, minutes, mix.highest, error=error, line=line)
    ends = sorted(where for one in (line, *map(_bare, others)) if (where := reaches(one, mix.prefill)) is not None)
    at = reaches(line, mix.prefill)
    if at is None or len(ends) < 0.9 * (len(others) + 1):
        return known
    state = FAR if at > FURTHEST * mix.highest else ESTIMATED
    low, high = (float(np.quantile(ends, level)) for level in (0.05, 0.95))
    return Limit(name, state, count, minutes, mix.highest, at, min(low, at), max(high, at), error, line)


def _bare(values: tuple[float, float, float]) -> Line:
    return Line(*values)


def reaches(line: Line, prefill_share: float) -> float | None:
    """The load at this mix at which the reading is 1; 0 if it is so without any; None if it never is."""
    slope = line.grows(prefill_share, 1 - prefill_share)
    if line.base >= 1:
        return 0.0
    return (1 - line.base) / slope if slope > 1e-12 else None


def _queue(name: str, blocks: Blocks, reading: Floats, mix: Mix) -> Limit:
    """A queue is nothing until it is everything, so no line is drawn: the load counts from which it really was too long."""
    known = np.isfinite(reading)
    count, minutes = int(known.sum()), int(blocks.minutes[known].sum())
    if count < LEAST_BLOCKS or minutes < LEAST_MINUTES:
        return Limit(name, FEW, count, minutes, mix.highest)
    total, y = blocks.total[known], reading[known]
    order = np.argsort(total, kind="stable")
    parts = [part for part in np.array_split(order, min(10, count // 4)) if part.size]
    too_long = [float(np.median(y[part])) >= 1 for part in parts]
    first = len(parts)
    while first > 0 and too_long[first - 1]:
        first -= 1
    if first == len(parts):
        return Limit(name, UNSEEN, count, minutes, mix.highest)
    at = float(np.median(total[parts[first]]))
    if at <= 0:
        return Limit(name, FLAT, count, minutes, mix.highest)
    line = Line(0.0, 1 / at, 1 / at)
    low = float(np.median(total[parts[first - 1]])) if first else 0.0
    return Limit(
        name, ESTIMATED, count, minutes, mix.highest, at, min(low, at), max(at, float(total.max())), None, line
    )


def robust(prefill: Floats, decode: Floats, y: Floats) -> tuple[float, float, float]:
    """Base and slopes of a line whose slopes are not negative, by iteratively reweighted least squares with Huber's weights."""
    scale = float(np.mean(prefill + decode)) or 1.0
    x = np.column_stack([np.ones_like(y), prefill / scale, decode / scale])
    weights = np.ones_like(y)
    found = np.zeros(3)
    for _ in range(ROUNDS):
        before, found = found, _rising(x, y, weights)
        off = y - x @ found
        spread = 1.4826 * float(np.median(np.abs(off - np.median(off)))) or 1e-12
        weights = np.minimum(1.0, HUBER * spread / np.maximum(np.abs(off), 1e-12))
        if np.abs(found - before).max() < 1e-6:
            break
    return float(found[0]), float(found[1] / scale), float(found[2] / scale)


def _rising(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Least squares with both slopes at least 0: of the ways to leave slopes out, the best that keeps to it."""
    root = np.sqrt(weights)
    best, least = np.zeros(3), np.inf
    for columns in ([0, 1, 2], [0, 1], [0, 2], [0]):
        part, *_ = np.linalg.lstsq(x[:, columns] * root[:, None], y * root, rcond=1e-9)
        candidate = np.zeros(3)
        candidate[columns] = part
        off = float((weights * (y - x @ candidate) ** 2).sum())
        if (candidate[1:] >= 0).all() and off < least * (1 - 1e-9):
            best, least = candidate, off
    return best


def _resamples(
    prefill: Floats, decode: Floats, y: Floats, group: npt.NDArray[np.int64]
) -> Sequence[tuple[float, float, float]]:
    """What would have been found from other days of the same kind. The same blocks give the same resamples."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    names = np.unique(group)
    rows = [np.flatnonzero(group == name) for name in names]
    found = []
    for _ in range(RESAMPLED):
        chosen = np.concatenate([rows[index] for index in rng.integers(0, len(rows), len(rows))])
        found.append(robust(prefill[chosen], decode[chosen], y[chosen]))
    return found
