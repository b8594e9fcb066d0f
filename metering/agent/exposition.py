"""Prometheus' text format (version 0.0.4) over HTTP: fetched under limits, and read only where it is wanted.

An engine answers with 100 to 200 KB, nearly all of it buckets of histograms. Lines are chosen by name before anything is parsed: 0.4 ms
for 200 KB, where parsing all of it takes 23 ms (measured).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

MOST_BYTES = 8 << 20
# Of wanted names. An engine has some dozens, 16 GPUs behind an exporter some hundreds.
MOST_SERIES = 4_000
MOST_SECONDS = 10.0
# The answer comes from this machine: compressing it would cost the engine more than it saves. OpenMetrics names counters differently.
_HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}


class Unreadable(Exception):
    """There is no such text there; the message says why, in the same words each time."""


class Series(NamedTuple):
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Exposition:
    """The wanted series by their names, and the names that were declared (`# TYPE`), with or without series."""

    series: Mapping[str, Sequence[Series]]
    declared: Set[str]
    malformed: int = 0  # lines of wanted names that are no such line


def fetch(http: httpx.Client, url: str, clock: Callable[[], float] = time.monotonic) -> str:
    """Raises Unreadable."""
    give_up_at = clock() + MOST_SECONDS
    try:
        with http.stream("GET", url, headers=_HEADERS) as response:
            _refuse(response)
            chunks: list[bytes] = []
            size = 0
            for chunk in response.iter_raw():
                size += len(chunk)
                if size > MOST_BYTES:
                    raise Unreadable(f"it answers with more than {MOST_BYTES} bytes")
                if clock() > give_up_at:
                    raise Unreadable(f"its answer takes more than {MOST_SECONDS:g} s")
                chunks.append(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreadable(f"it does not answer: {error or type(error).__name__}") from error
    return b"".join(chunks).decode(errors="replace")


def _refuse(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise Unreadable(f"it answers HTTP {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Unreadable("its answer is compressed, which was not asked for")


def parse(text: str, wanted: Set[str]) -> Exposition:
    """Raises Unreadable where there are more series of the wanted names than any engine or exporter has."""
    kept: list[str] = []
    declared: set[str] = set()
    # Not splitlines(): a label's value may hold what Unicode calls a line's end.
    for line in text.split("\n"):
        if line.startswith("#"):
            if line.startswith("# TYPE "):
                declared.add(line.split(" ", 3)[2])
        elif line.partition("{")[0].partition(" ")[0] in wanted:
            kept.append(line)
    if len(kept) > MOST_SERIES:
        raise Unreadable(f"it has more than {MOST_SERIES} series of names that should have a few")
    return _parsed(kept, declared)


def _parsed(lines: Sequence[str], declared: Set[str]) -> Exposition:
    """One malformed line does not take the others with it."""
    series: dict[str, list[Series]] = defaultdict(list)
    malformed = 0
    for line in lines:
        try:
            name, labels, value = _series(line)
        except ValueError:
            malformed += 1
        else:
            series[name].append(Series(labels, value))
    return Exposition(series, declared, malformed)


def _series(line: str) -> tuple[str, Mapping[str, str], float]:
    """Of `name{labels} value` or `name value`, with a time behind it or not. Raises ValueError."""
    head, brace, rest = line.rpartition("}")
    if not brace:
        head, _, rest = line.partition(" ")
    value = rest.split()
    if not 1 <= len(value) <= 2 or "_" in value[0]:  # float() would take 1_000
        raise ValueError(line)
    name, labels = _identity(head + brace)
    return name, labels, float(value[0])


@lru_cache(maxsize=MOST_SERIES)
def _identity(head: str) -> tuple[str, Mapping[str, str]]:
    """Name and labels of a series: the same at each reading, and the costly part of a line. Raises ValueError."""
    (family,) = text_string_to_metric_families(f"{head} 0\n")
    (sample,) = family.samples
    return sample.name, MappingProxyType(sample.labels)
