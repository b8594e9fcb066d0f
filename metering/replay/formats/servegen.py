"""ServeGen (Alibaba Model Studio): not requests but, per client and window of 600 s, how its requests arrive.

The trace: CSV `client_id,window_start_s,rate_rps,cv,arrival_dist,param1,param2`. The rate is the window's request count / 600,
so the count is the trace's own and only the positions are drawn: gaps of the window's law (Gamma or Weibull with shape
param1), scaled so that they fill the window. The dataset beside it: JSON lines with, per client and six hours, probability
tables of input_tokens, output_tokens and reason_ratio (reasoning / output tokens), from which lengths are drawn independently.
Every (client, window) has a generator of its own, seeded by SEED and its numbers: any part can be drawn alone, and gives the
same requests each time. What is drawn is labelled as modelled. Source of the format: the README of alibaba/ServeGen.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

import numpy as np

from metering.replay.formats.servegen_lengths import Lengths
from metering.replay.trace import RELATIVE_ORIGIN, TraceError, TraceRequest, opened, sha256_of

HEADER = ["client_id", "window_start_s", "rate_rps", "cv", "arrival_dist", "param1", "param2"]
WINDOW_S = 600
SEED = 20260101  # changing it changes the ids' contents: a new seed would need new ids


@dataclass(frozen=True, slots=True)
class _Window:
    client: int
    start_s: int
    count: int
    law: str
    shape: float


class ServeGenTrace:
    format = "servegen"
    modelled = "time,input_tokens,output_tokens,reasoning_tokens"

    def __init__(self, path: Path, dataset: Path | None = None) -> None:
        self.path = path
        self.dataset = dataset or self._dataset_beside()
        self._windows: list[_Window] | None = None

    def origin(self) -> datetime:
        return RELATIVE_ORIGIN

    def total(self) -> int:
        return sum(window.count for window in self._busy_windows())

    def clients(self) -> list[str]:
        return [str(client) for client in sorted({window.client for window in self._busy_windows()})]

    def rates_rps(self) -> dict[str, float]:
        """Requests per second of each client, on average from the trace's zero to its last busy window."""
        windows = self._busy_windows()
        seconds = max((window.start_s for window in windows), default=0) + WINDOW_S
        counts: dict[str, int] = {}
        for window in windows:
            counts[str(window.client)] = counts.get(str(window.client), 0) + window.count
        return {client: count / seconds for client, count in counts.items()}

    def digest(self) -> str:
        return sha256_of(self.path, self.dataset, also=f"servegen seed {SEED}")

    def requests(self) -> Iterator[TraceRequest]:
        """Window by window; within one, in order of time over all clients."""
        lengths = Lengths.read(self.dataset)
        windows = self._busy_windows()
        first = 0
        while first < len(windows):
            last = first
            while last < len(windows) and windows[last].start_s == windows[first].start_s:
                last += 1
            drawn = [request for window in windows[first:last] for request in _draw(window, lengths)]
            yield from sorted(drawn, key=attrgetter("offset_ms"))  # stable: equal times stay in order of client
            first = last

    def _dataset_beside(self) -> Path:
        if "_trace.csv" not in self.path.name:
            raise TraceError(self.path, None, "token lengths are in a file of their own: name it with --dataset")
        return self.path.with_name(self.path.name.replace("_trace.csv", "_dataset.jsonl"))

    def _busy_windows(self) -> list[_Window]:
        if self._windows is None:
            with opened(self.path) as file:
                lines = csv.reader(file)
                if (header := next(lines, None)) != HEADER:
                    raise TraceError(self.path, 1, f"expected the header {','.join(HEADER)}, got {header}")
                read = [self._window(fields, lines.line_num) for fields in lines if fields]
            self._windows = sorted((w for w in read if w.count), key=attrgetter("start_s", "client"))
        return self._windows

    def _window(self, fields: list[str], line: int) -> _Window:
        if len(fields) != len(HEADER):
            raise TraceError(self.path, line, f"expected {len(HEADER)} fields, got {len(fields)}")
        try:
            client, start_s = int(fields[0]), int(fields[1])
            rate_rps, shape = float(fields[2]), float(fields[5])
        except ValueError as error:
            raise TraceError(self.path, line, str(error)) from error
        if client < 0 or start_s < 0 or not 0 <= rate_rps < 1e6:
            raise TraceError(self.path, line, "a negative number, or a rate of a million a second or more")
        count = round(rate_rps * WINDOW_S)
        if count and (fields[4] not in {"Gamma", "Weibull"} or not 0 < shape < 1e6):
            raise TraceError(self.path, line, f"expected Gamma or Weibull and a shape, got {fields[4]!r}, {shape}")
        return _Window(client, start_s, count, fields[4], shape)


def _draw(window: _Window, lengths: Lengths) -> Iterator[TraceRequest]:
    rng = np.random.Generator(np.random.PCG64([SEED, window.client, window.start_s]))
    offsets_ms = _offsets_ms(window, rng)
    inputs, outputs, reasoning = lengths.draw(window.client, window.start_s, window.count, rng)
    client = str(window.client)
    for number in range(window.count):
        yield TraceRequest(
            f"{client}:{window.start_s}:{number}",
            window.start_s * 1000 + offsets_ms[number],
            int(inputs[number]),
            int(outputs[number]),
            reasoning_tokens=int(reasoning[number]),
            client=client,
        )


def _offsets_ms(window: _Window, rng: np.random.Generator) -> list[int]:
    """Arrivals within the window, ascending, in [0, WINDOW_S)."""
    gaps = (
        rng.gamma(window.shape, size=window.count + 1)
        if window.law == "Gamma"
        else rng.weibull(window.shape, size=window.count + 1)
    )
    if not gaps.sum() > 0:  # a very small shape can draw nothing but zeros
        gaps = np.ones(window.count + 1)
    arrivals = np.cumsum(gaps)[:-1] / gaps.sum()
    return [min(int(arrival * WINDOW_S * 1000), WINDOW_S * 1000 - 1) for arrival in arrivals]
