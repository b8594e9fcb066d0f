"""The queries behind pages: which of them make one slow, and how long each takes alone."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A query, and the milliseconds that it took. `waits`: its page waits for it; otherwise it is taken aside, and shown once it is
    there."""

    query: Any
    options: dict[str, Any]
    ms: float
    waits: bool

    @property
    def name(self) -> str:
        return str(self.query.name)


def explained(page: str, asked: str, ids: tuple[str, ...]) -> str:
    """The three that take longest in a reading of the page in this process, by their names, with what the whole reading took."""
    from dashboard.operator.registry import PAGES

    if page not in PAGES:
        return "not a page of the registry"
    took, found = _reading(page, asked, ids)
    slowest = ", ".join(f"{one.name} {one.ms:.0f} ms" for one in sorted(found, key=lambda one: -one.ms)[:3])
    return f"read again {took:.0f} ms, {len(found)} queries: {slowest}"


def alone(page: str, asked: str, ids: tuple[str, ...]) -> list[Asked]:
    """Each query of a reading of the page, run again by itself."""
    from metering.clickhouse import client

    found = []
    for one in _reading(page, asked, ids)[1]:
        started = time.perf_counter()
        client.run(one.query, **one.options)
        found.append(replace(one, ms=(time.perf_counter() - started) * 1000))
    return found


def _reading(page: str, asked: str, ids: tuple[str, ...]) -> tuple[float, list[Asked]]:
    """A reading of the page with nothing at hand: its milliseconds, and its queries, those that it takes aside included."""
    from django.http import QueryDict

    from dashboard.operator.aside import ASIDE
    from dashboard.operator.filters import Filters
    from dashboard.operator.pages import fitted
    from dashboard.operator.registry import PAGES
    from dashboard.operator.shelf import SHELF

    SHELF.clear()
    ASIDE.clear()
    read = PAGES[page]
    filters = fitted(read, Filters.read(QueryDict(asked).dict(), read.options))
    later, threads = _Later(), ASIDE._pool
    with _noted(later) as found:
        ASIDE._pool = later
        try:
            started = time.perf_counter()
            read.read(filters, ids)
            took = (time.perf_counter() - started) * 1000
            later.run()
        finally:
            ASIDE._pool = threads
    return took, found


class _Later(Executor):
    """Runs what it was given once it is told to: so what is taken aside is known as such, whatever threads it uses itself."""

    def __init__(self) -> None:
        self._given: list[Callable[[], None]] = []
        self.running = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **options: Any) -> "Future[T]":
        given: Future[T] = Future()
        self._given.append(lambda: given.set_result(fn(*args, **options)))
        return given

    def run(self) -> None:
        self.running = True
        for one in self._given:
            one()


@contextmanager
def _noted(later: _Later) -> Iterator[list[Asked]]:
    """Every query that this process runs meanwhile, as they end."""
    from metering.clickhouse import client

    found: list[Asked] = []
    run = client.run

    def timed(query: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return run(query, **options)
        finally:
            found.append(Asked(query, options, (time.perf_counter() - started) * 1000, not later.running))

    client.run = timed
    try:
        yield found
    finally:
        client.run = run
