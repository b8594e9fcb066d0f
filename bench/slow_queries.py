"""Which queries are behind a slow page: its reading once more in this process, with each query's time."""

import time
from typing import Any


def explained(page: str, asked: str, ids: tuple[str, ...]) -> str:
    """The three that take longest, by their names, with what the whole reading took."""
    from django.http import QueryDict

    from dashboard.operator.filters import Filters
    from dashboard.operator.registry import PAGES
    from dashboard.operator.shelf import SHELF
    from metering.clickhouse import client

    if page not in PAGES:
        return "not a page of the registry"
    SHELF.clear()
    found: list[tuple[float, str]] = []
    run = client.run

    def timed(query: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return run(query, **options)
        finally:
            found.append(((time.perf_counter() - started) * 1000, query.name))

    client.run = timed
    try:
        started = time.perf_counter()
        PAGES[page].read(Filters.read(QueryDict(asked).dict(), PAGES[page].options), ids)
        took = (time.perf_counter() - started) * 1000
    finally:
        client.run = run
    slowest = ", ".join(f"{name} {ms:.0f} ms" for ms, name in sorted(found, reverse=True)[:3])
    return f"read again {took:.0f} ms, {len(found)} queries: {slowest}"
