"""ServeGen's token lengths: probability tables per client and stretch of hours, and drawing from them."""

import ast
import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from metering.replay.trace import TraceError, opened

Counts = np.ndarray[tuple[int], np.dtype[np.int64]]
Shares = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class _Table:
    """Values and the cumulated probability up to and with each; the last is 1."""

    values: Shares
    cumulated: Shares

    def draw(self, count: int, rng: np.random.Generator) -> Shares:
        return self.values[np.searchsorted(self.cumulated, rng.random(count), side="right")]


@dataclass(frozen=True)
class _Stretch:
    start_s: int
    inputs: _Table
    outputs: _Table
    reason_ratio: _Table | None


class Lengths:
    """Per client, its stretches in order of time. One without requests (empty tables) is not kept."""

    def __init__(self, path: Path, clients: dict[int, list[_Stretch]]) -> None:
        self._path = path
        self._clients = clients

    @classmethod
    def read(cls, path: Path) -> "Lengths":
        clients: dict[int, list[_Stretch]] = {}
        with opened(path) as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                client, stretch = _parse(text, path, line)
                if stretch is not None:
                    clients.setdefault(client, []).append(stretch)
        for stretches in clients.values():
            stretches.sort(key=lambda stretch: stretch.start_s)
        return cls(path, clients)

    def draw(self, client: int, start_s: int, count: int, rng: np.random.Generator) -> tuple[Counts, Counts, Counts]:
        """Input, output and reasoning tokens of `count` requests. Raises TraceError for a client without lengths."""
        stretches = self._clients.get(client)
        if not stretches:
            raise TraceError(self._path, None, f"has no lengths for client {client}")
        # The stretch that the window falls in; before a client's first, the first.
        position = max(bisect.bisect_right(stretches, start_s, key=lambda stretch: stretch.start_s) - 1, 0)
        stretch = stretches[position]
        outputs = stretch.outputs.draw(count, rng)
        ratio = stretch.reason_ratio.draw(count, rng) if stretch.reason_ratio else np.zeros(count)
        inputs = stretch.inputs.draw(count, rng)
        return inputs.astype(np.int64), outputs.astype(np.int64), np.floor(outputs * ratio).astype(np.int64)


def _parse(text: str, path: Path, line: int) -> tuple[int, _Stretch | None]:
    try:
        row = orjson.loads(text)
        client, start_s = int(row["client_id"]), int(row["window_start_s"])
        inputs, outputs = _table(row["input_tokens"], 2**40), _table(row["output_tokens"], 2**40)
        ratio = _table(row.get("reason_ratio", "{}"), 1)
    except (ValueError, TypeError, KeyError, SyntaxError, AttributeError) as error:
        raise TraceError(path, line, f"is not a row of lengths: {type(error).__name__}: {error}") from error
    if inputs is None or outputs is None:
        return client, None
    return client, _Stretch(start_s, inputs, outputs, ratio)


def _table(written: Any, largest: float) -> _Table | None:
    """`"{45: 0.0097, 46: 0.0117, ...}"`, value to probability; None for an empty one. Raises ValueError."""
    found = ast.literal_eval(written) if isinstance(written, str) else written
    if not isinstance(found, dict):
        raise ValueError("expected a table of value: probability")
    if not found:
        return None
    values = np.array(list(found), dtype=np.float64)
    shares = np.array(list(found.values()), dtype=np.float64)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-3):
        raise ValueError(f"probabilities add up to {shares.sum()}, not 1")
    if not ((values >= 0).all() and (values <= largest).all()):
        raise ValueError(f"a value is not between 0 and {largest}")
    cumulated = np.cumsum(shares / shares.sum())
    cumulated[-1] = 1.0  # what rounding left would draw past the end
    return _Table(values, cumulated)
