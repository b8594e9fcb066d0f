"""Measures of requests: how many, how good, how fast."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from metering.alerts.readings.asked import ALL, HOUR, Asked, Found, Read
from metering.live import LiveCounts, LivePoint, LiveScope, live_group_series, live_series
from metering.telemetry.energy.report import energy_series

JOULES_PER_KWH = 3_600_000


def rate(amount: Callable[[LiveCounts], int]) -> Read:
    """Per second."""
    return lambda asked: _requests(asked, lambda point: point.counts.per_second(amount(point.counts)))


def share(amount: Callable[[LiveCounts], int]) -> Read:
    """Of all requests; None without any."""

    def value(point: LivePoint) -> float | None:
        return amount(point.counts) / point.counts.requests if point.counts.requests else None

    return lambda asked: _requests(asked, value)


def latency(name: str, level: str) -> Read:
    """Of `ttft_ms`, `tpot_ms` or `e2e_ms`, the percentile `p50` to `p99`."""

    def value(point: LivePoint) -> float | None:
        found = getattr(point, name)
        return None if found is None else float(getattr(found, level))

    return lambda asked: _requests(asked, value, (name,))


def _requests(asked: Asked, value: Callable[[LivePoint], float | None], latencies: Sequence[str] = ()) -> Found:
    scope = LiveScope(**asked.only)
    if asked.group:
        found = live_group_series(scope, asked.start, asked.step, asked.end, group=asked.group, latencies=latencies)
    else:
        found = {ALL: live_series(scope, asked.start, asked.step, asked.end)}
    return {name: [(point.start, value(point)) for point in points] for name, points in found.items()}


def joules_per_token(asked: Asked) -> Found:
    """Of output. Of all together what is idle or nobody's counts as well; by group, what is attributed to it."""
    start = asked.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    end = asked.end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if end <= start:
        return {}
    step = max(asked.step, HOUR)
    used: dict[str, dict[datetime, list[float]]] = {}
    for point in energy_series(start, end, step, group=asked.group, only=asked.only):
        if asked.group and point.label:
            continue
        sums = used.setdefault(point.value if asked.group else ALL, {}).setdefault(point.start, [0.0, 0.0])
        sums[0] += point.kwh * JOULES_PER_KWH
        sums[1] += point.decode_tokens
    return {
        name: [(at, joules / tokens if tokens > 0 else None) for at, (joules, tokens) in sorted(steps.items())]
        for name, steps in used.items()
    }
