"""The slowest requests of a range, and one request with all that was told of it.

The k slowest requests lie in the k cells (of time, tenant, model and so on) that have the highest values. So they are found exactly, over
months and however the range is narrowed: first the cells, from rollups of maxima, coarse ones first; then the requests of these alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.live_sources import Piece, Subset, pieces
from metering.clickhouse.queries.slow_requests import (
    LISTED,
    MEASURES,
    TOLD,
    Cell,
    FinerCells,
    HighestCells,
    OneRequest,
    SlowestOfCells,
)
from metering.live import LiveScope

TIMEOUT_S = 5.0
KEPT_BY_MINUTES = timedelta(days=34)  # slowest_minute has them for 35 days
HOUR_S = 3600
SPARE = 10  # cells more than are needed: an event that came twice may be the highest of two
# Cells with more requests than this are looked into more finely before the requests themselves are read.
MOST_READ = 300_000
# Marks of the simulator, of the demo's history and of replayed traces: latencies that nobody measured.
MADE_UP = ("simulated", "modelled")


@dataclass(frozen=True, kw_only=True)
class SlowRequest:
    """A request in short. What was not told is None or ''. `key`, with tenant and time, names it in addresses."""

    tenant: str
    time: datetime  # when it finished
    key: str
    model: str
    status: str
    node: str
    engine: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    queue_ms: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    made_up: str = ""  # which of MADE_UP it is marked with; '' if it is real

    @property
    def started(self) -> datetime | None:
        """None if nobody says how long it took."""
        return None if self.e2e_ms is None else self.time - timedelta(milliseconds=self.e2e_ms)

    @property
    def uncached_tokens(self) -> int:
        return self.input_tokens - self.cached_input_tokens


@dataclass(frozen=True, kw_only=True)
class RequestStory(SlowRequest):
    """All that was told of it."""

    id: str
    source: str
    project: str
    api_key_id: str
    end_user: str
    operation: str
    tier: str
    finish_reason: str
    stream: bool
    region: str
    cluster: str
    gpus: tuple[str, ...]
    cache_write_tokens: int
    reasoning_tokens: int
    attributes: Mapping[str, str]


def slow_requests(scope: LiveScope, start: datetime, end: datetime, measure: str, limit: int = 20) -> list[SlowRequest]:
    """The `limit` slowest requests of `[start, end)` by ttft_ms, tpot_ms or e2e_ms, the slowest first; each identity once.

    Of a range that begins more than KEPT_BY_MINUTES ago, the hours at its ends are looked at whole. Raises ValueError for another
    measure, ClickHouseUnavailable or ClickHouseRefused.
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}: one of {', '.join(MEASURES)}")
    by_minutes = start > datetime.now(UTC) - KEPT_BY_MINUTES
    subset = Subset(scope.tenant, scope.model, scope.tier, scope.region, scope.cluster)
    most = limit + SPARE
    cells = _read(HighestCells(_pieces(start, end, by_minutes=by_minutes), measure, most, subset))
    for grain, finer in (("day", "hour"), ("hour", "minute")):
        if (by_minutes or finer == "hour") and sum(cell.requests for cell in cells) > MOST_READ:
            cells = _refined(cells, grain, finer, measure, most)
    if not cells:
        return []
    # Every cell has a request that takes as long as its value. Not so in a range whose ends cut through cells.
    whole = by_minutes and not any(at.second or at.microsecond for at in (start, end))
    least = cells[-1].value if whole and len(cells) == most else 0.0
    bounds = (moments.milliseconds(start), moments.milliseconds(end))
    query = SlowestOfCells(cells, *bounds, measure, least, most, subset)
    rows = _once(client.run(query, timeout_s=TIMEOUT_S).dicts())
    return [SlowRequest(**_told(row, LISTED)) for row in rows[:limit]]


def request_story(tenant: str, time: datetime, key: str) -> RequestStory | None:
    """The request of that key (RequestStory.key), or None."""
    if not key.isascii() or not key.isdigit() or int(key) >= 2**64:
        return None
    rows = client.run(OneRequest(tenant, moments.milliseconds(time), key), timeout_s=TIMEOUT_S).dicts()
    if not rows:
        return None
    told = _told(rows[0], TOLD)
    shaped = {"gpus": tuple(told["gpus"]), "stream": bool(told["stream"]), "attributes": dict(told["attributes"])}
    return RequestStory(**(told | shaped))


def _pieces(start: datetime, end: datetime, *, by_minutes: bool) -> tuple[Piece, ...]:
    grain_s = 60 if by_minutes else HOUR_S
    from_s, until_s = moments.seconds(start), -(-moments.milliseconds(end) // 1000)
    return pieces(from_s // grain_s * grain_s, -(-until_s // grain_s) * grain_s, open_ended=False)


def _refined(cells: tuple[Cell, ...], grain: str, finer: str, measure: str, limit: int) -> tuple[Cell, ...]:
    """With the cells of one grain replaced by the finer ones that they were made of: of all, the highest again."""
    coarse = tuple(cell for cell in cells if cell.grain == grain)
    if not coarse:
        return cells
    distinct = {(cell.at_s, cell.keys): cell for cell in coarse}
    found = _read(FinerCells(tuple(distinct.values()), finer, measure, limit))
    rest = (cell for cell in cells if cell.grain != grain)
    return tuple(sorted((*rest, *found), key=lambda cell: -cell.value)[:limit])


def _read(query: client.Query) -> tuple[Cell, ...]:
    rows = client.run(query, timeout_s=TIMEOUT_S).rows
    return tuple(Cell(str(row[0]), int(row[1]), float(row[2]), int(row[3]), tuple(row[4:])) for row in rows)


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In their order, each identity as it arrived first."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        known = first.setdefault((row["tenant"], row["key"]), row)
        if row["arrived"] < known["arrived"]:
            first[row["tenant"], row["key"]] = row
    return [row for row in rows if first[row["tenant"], row["key"]] is row]


def _told(row: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    at = moments.from_microseconds(int(row["time_ms"]) * 1000)
    made_up = next((mark for mark in MADE_UP if mark in row["marks"]), "")
    return {name: row[name] for name in columns} | {"time": at, "key": str(row["key"]), "made_up": made_up}
