"""Requests by model over the last two hours: where errors are more than before, and whether anything arrives at all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from metering.causes.change import last_step
from metering.causes.minutes import Minutes
from metering.clickhouse import client
from metering.clickhouse.queries.causes import TrafficMinutes
from metering.clickhouse.queries.live_sources import Subset
from metering.live import LiveScope
from metering.telemetry.spans import MINUTE

TIMEOUT_S = 5.0
ERRORS_FROM = 0.05  # of the requests, and so many of them
LEAST_ERRORS = 10
ERRORS_GROWN = 3.0
RECENT_POINTS = 3  # errors are judged over the last minutes together
SILENT_MINUTES = 2  # without any request, after an hour in which hardly a minute had none
STEADY = 0.95


@dataclass(frozen=True)
class Traffic:
    """Of each model the requests, errors and tokens (input and output) in each point of `minutes`."""

    minutes: Minutes
    requests: Mapping[str, Sequence[float]]
    errors: Mapping[str, Sequence[float]]
    tokens: Mapping[str, Sequence[float]]

    def tokens_s(self, model: str) -> list[float]:
        """A second."""
        return [each / length for each, length in zip(self.tokens[model], self.minutes.lengths_s, strict=True)]


@dataclass(frozen=True)
class ErrorShift:
    """`ratio` of this model's requests fail now, `before` of them did; `since` when, None if they have all the time."""

    model: str
    ratio: float
    before: float
    errors: int
    since: datetime | None


@dataclass(frozen=True)
class Silence:
    """No request has ended since `since`; before it, `usual_s` did each second."""

    since: datetime
    usual_s: float


def subset_of(scope: LiveScope) -> Subset:
    return Subset(scope.tenant, scope.model, scope.tier, scope.region, scope.cluster)


def traffic(now: datetime, scope: LiveScope) -> Traffic:
    """Raises ClickHouseUnavailable or ClickHouseRefused."""
    minutes = Minutes.until(now)
    query = TrafficMinutes(minutes.from_s, minutes.until_s, subset_of(scope))
    rows: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for at_s, model, *amounts in client.run(query, timeout_s=TIMEOUT_S).rows:
        rows[model].append((at_s, *amounts))

    def of(column: int) -> dict[str, list[float]]:
        return {model: minutes.sums((row[0], row[column]) for row in found) for model, found in rows.items()}

    return Traffic(minutes, of(1), of(2), of(3))


def error_shifts(found: Traffic) -> list[ErrorShift]:
    """Models of which more fail than can be, and clearly more than before; the most errors first. Pure."""
    shifts = [_errors(found, model) for model in found.requests]
    return sorted((each for each in shifts if each), key=lambda each: (-each.errors, each.model))


def _errors(found: Traffic, model: str) -> ErrorShift | None:
    requests, errors = found.requests[model], found.errors[model]
    failed, all_ = sum(errors[-RECENT_POINTS:]), sum(requests[-RECENT_POINTS:])
    latest = errors[-1] / requests[-1] if requests[-1] else 0.0
    # A minute of nothing but errors is not to wait for two more: what counts is the worse of the last point and the last three.
    if errors[-1] >= LEAST_ERRORS and latest > failed / all_:
        failed, all_ = errors[-1], requests[-1]
    ratio = failed / all_ if all_ else 0.0
    if failed < LEAST_ERRORS or ratio < ERRORS_FROM:
        return None
    ratios = [bad / count if count else 0.0 for bad, count in zip(errors, requests, strict=True)]
    step = last_step(ratios)
    rose = step is not None and step.after > step.before
    before = step.before if step and rose else median(ratios)
    if ratio < ERRORS_GROWN * before:
        return None  # as always: the tile and the table show it
    return ErrorShift(model, ratio, before, round(failed), found.minutes.at(step.at) if step and rose else None)


def silence(found: Traffic, newest: datetime | None) -> Silence | None:
    """Requests have stopped, though nearly every minute of the hour before had some. Pure. `newest`: the latest arrival of any."""
    if newest is not None and found.minutes.now - newest < SILENT_MINUTES * MINUTE:
        return None
    counts = [sum(point) for point in zip(*found.requests.values(), strict=True)]
    while counts and not counts[-1]:
        counts.pop()
    since = found.minutes.at(len(counts))
    hour = counts[-61:-1]
    steady = len(hour) == 60 and sum(count > 0 for count in hour) >= STEADY * len(hour)
    if not steady or found.minutes.now - since < SILENT_MINUTES * MINUTE:
        return None
    return Silence(since, sum(hour) / 3600)
