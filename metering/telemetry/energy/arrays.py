"""The arrays that energy is computed in. Times are seconds on the clock of a span: 0 is its start, and earlier is negative."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WINDOW_S = 60.0


def floats(values: ArrayLike = ()) -> Floats:
    return np.asarray(values, dtype=np.float64)


def edges(first: int, last: int) -> Floats:
    """The edges of windows `first` to `last` - 1: one more than there are windows."""
    return np.arange(first, last + 1, dtype=np.float64) * WINDOW_S


def window_of(at_s: Floats, edges_s: Floats) -> Ints:
    """Which window holds each moment, counted from the first edge; windows are half-open. -1, or one too many, for none."""
    return np.asarray(np.searchsorted(edges_s, at_s, side="right") - 1, dtype=np.int64)


def summed(windows: Ints, values: Floats, count: int) -> Floats:
    """Values added up by window. What lies in none of the `count` windows is left out."""
    inside = (windows >= 0) & (windows < count)
    return np.bincount(windows[inside], weights=values[inside], minlength=count).astype(np.float64)


def ratio(part: Floats, whole: Floats, least: float = 0.0) -> Floats:
    """part / whole, 0 where the whole is not above `least`."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > least)
