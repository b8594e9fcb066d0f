"""Tokens that an engine counted and no event accounts for.

The surplus D at the edge of a window is all that the engine has counted so far less all that its events say. It is never quiet: events
spread output evenly where the engine did not, and one without latencies has all its tokens at its end. So a surplus or a shortfall that
is made good within `look` windows is taken out (a closing, then an opening, with a flat window: Serra, Image Analysis and Mathematical
Morphology, 1982). What the rest rises by in a window is missing there.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from metering.telemetry.energy.arrays import Floats


def missing(engine: Floats, events: Floats, look: int) -> Floats:
    """Tokens by window, from those that the engine counted and those that events claim: at least 0, at most what the engine counted."""
    surplus = np.concatenate(([0.0], np.cumsum(engine - events)))
    lasting = _closed_and_opened(np.pad(surplus, 2 * look, mode="edge"), look + 1)
    return np.clip(np.diff(lasting), 0.0, np.maximum(engine, 0.0))


def _closed_and_opened(values: Floats, width: int) -> Floats:
    """Without dips, then without bumps, of fewer than `width` edges. Twice `width` - 1 values at either end are used up."""
    closed = _lowest(_highest(values, width), width)
    return _highest(_lowest(closed, width), width)


def _highest(values: Floats, width: int) -> Floats:
    return np.asarray(sliding_window_view(values, width).max(axis=1), dtype=np.float64)


def _lowest(values: Floats, width: int) -> Floats:
    return np.asarray(sliding_window_view(values, width).min(axis=1), dtype=np.float64)
