"""The queries behind pages: which of them make one slow, and how long each takes alone."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ASIDE_THREAD = "aside"  # the name that threads of dashboard.operator.aside begin with
Run = Callable[..., Any]


def explained(page: str, asked: str, ids: tuple[str, ...]) -> str:
    """The three that take longest in a reading of the page in this process, by their names, with what the whole reading took."""
    from dashboard.operator.registry import PAGES

    if page not in PAGES:
        return "not a page of the registry"
    found: list[tuple[float, str]] = []

    def timed(run: Run, query: Any, options: dict[str, Any]) -> Any:
        started = time.perf_counter()
        try:
            return run(query, **options)
        finally:
            found.append(((time.perf_counter() - started) * 1000, query.name))

    started = time.perf_counter()
    _read(page, asked, ids, timed)
    took = (time.perf_counter() - started) * 1000
    slowest = ", ".join(f"{name} {ms:.0f} ms" for ms, name in sorted(found, reverse=True)[:3])
    return f"read again {took:.0f} ms, {len(found)} queries: {slowest}"


def alone(page: str, asked: str, ids: tuple[str, ...]) -> list[tuple[str, float, bool]]:
    """Each query of a reading of the page, run again by itself: its name, milliseconds, and whether the page waits for it (otherwise it
    is taken aside, and shown once it is there)."""
    from metering.clickhouse import client

    asked_for: list[tuple[Any, dict[str, Any], bool]] = []

    def noted(run: Run, query: Any, options: dict[str, Any]) -> Any:
        waits = not threading.current_thread().name.startswith(ASIDE_THREAD)
        asked_for.append((query, options, waits))
        return run(query, **options)

    _read(page, asked, ids, noted)
    found = []
    for query, options, waits in asked_for:
        started = time.perf_counter()
        client.run(query, **options)
        found.append((query.name, (time.perf_counter() - started) * 1000, waits))
    return found


def _read(page: str, asked: str, ids: tuple[str, ...], each: Callable[[Run, Any, dict[str, Any]], Any]) -> None:
    """The page with nothing at hand, what it takes aside included."""
    from django.http import QueryDict

    from dashboard.operator.aside import ASIDE
    from dashboard.operator.filters import Filters
    from dashboard.operator.registry import PAGES
    from dashboard.operator.shelf import SHELF

    SHELF.clear()
    ASIDE.clear()
    found = PAGES[page]
    filters = Filters.read(QueryDict(asked).dict(), found.options).fitted(found.ranges)
    with _instead(each):
        found.read(filters, ids)
        ASIDE.settle()


@contextmanager
def _instead(each: Callable[[Run, Any, dict[str, Any]], Any]) -> Iterator[None]:
    from metering.clickhouse import client

    run = client.run
    client.run = lambda query, **options: each(run, query, options)
    try:
        yield
    finally:
        client.run = run
