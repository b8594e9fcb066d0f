"""Finding the slowest requests by the rollups of maxima (slowest_minute, slowest_hour, slowest_day; migration 0013), and reading them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live_sources import GRAINS, Piece, Subset

BEGINS = {"minute": "toStartOfMinute", "hour": "toStartOfHour", "day": "toStartOfDay"}
MEASURES = ("ttft_ms", "tpot_ms", "e2e_ms")
KEYS = ("tenant", "model", "tier", "region", "cluster")
# Of a list; a column more is a block more to decompress for each request.
LISTED = (
    "tenant",
    "model",
    "status",
    "node",
    "engine",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "queue_ms",
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
)
TOLD = (
    *LISTED,
    "id",
    "source",
    "project",
    "api_key_id",
    "end_user",
    "operation",
    "tier",
    "finish_reason",
    "stream",
    "region",
    "cluster",
    "gpus",
    "cache_write_tokens",
    "reasoning_tokens",
    "attributes",
)
# A hash of tenant, source and id: short, and safe in an address whatever the id is.
NAMED = "toUnixTimestamp64Milli(time) AS time_ms, toString(identity) AS key, attributes.keys AS marks"
ARRIVED = "(toUnixTimestamp64Micro(ingested_at), toString(batch), row) AS arrived"


@dataclass(frozen=True)
class Cell:
    """One row of a rollup: `at_s` is where its minute, hour or day begins, `requests` how many there are in it."""

    grain: str
    at_s: int
    value: float
    requests: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class HighestCells:
    """The `most` rows of all `pieces` with the highest values: grain, at_s, value, requests, KEYS.

    Rows of a cell that are not merged yet are cells of their own, and what is said of cells holds for them.
    """

    name: ClassVar[str] = "slowest_cells"
    pieces: tuple[Piece, ...]
    measure: str
    most: int
    subset: Subset

    def sql(self) -> tuple[str, dict[str, Any]]:
        parts, parameters = [], {"most": self.most} | self.subset.parameters()
        for number, piece in enumerate(self.pieces):
            at = _grain(piece.grain)
            parts.append(f"""(
                {_cells(at, self.measure)}
                WHERE {at} >= toDateTime(%(from_{number})s, 'UTC') AND {at} < toDateTime(%(until_{number})s, 'UTC')
                    AND {self.subset.named()} AND {self.measure} > 0
                ORDER BY value DESC LIMIT %(most)s
            )""")
            parameters |= {f"from_{number}": piece.from_s, f"until_{number}": piece.until_s}
        text = f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY value DESC LIMIT %(most)s"
        return text, parameters


@dataclass(frozen=True)
class FinerCells:
    """The rows of the next finer rollup that some cells of one grain were made of, the `most` highest: as HighestCells."""

    name: ClassVar[str] = "slowest_finer_cells"
    cells: tuple[Cell, ...]
    finer: str
    measure: str
    most: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        coarse = self.cells[0].grain
        starts = sorted({cell.at_s for cell in self.cells})
        at = _grain(self.finer)
        spans = " OR ".join(
            f"({at} >= toDateTime({s}, 'UTC') AND {at} < toDateTime({s + GRAINS[coarse]}, 'UTC'))" for s in starts
        )
        same: list[str] = []
        parameters: dict[str, Any] = {"most": self.most}
        for number, cell in enumerate(self.cells):
            same.append(f"({cell.at_s}, {', '.join(f'%({key}_{number})s' for key in KEYS)})")
            parameters |= {f"{key}_{number}": value for key, value in zip(KEYS, cell.keys, strict=True)}
        # A set that is looked up once for each row: conditions in a row would be tried one after another.
        text = f"""
            {_cells(at, self.measure)}
            WHERE ({spans}) AND (toUnixTimestamp({BEGINS[coarse]}({at})), {", ".join(KEYS)}) IN ({", ".join(same)}) AND {self.measure} > 0
            ORDER BY value DESC LIMIT %(most)s
        """
        return text, parameters


@dataclass(frozen=True)
class SlowestOfCells:
    """The slowest requests of `[from_ms, until_ms)` in the given cells, duplicates included: LISTED, NAMED and ARRIVED.

    `least`: there are enough that take as long as that, so that the others need not be looked at; 0 if that is not known.
    """

    name: ClassVar[str] = "slowest_requests"
    cells: tuple[Cell, ...]
    from_ms: int
    until_ms: int
    measure: str
    least: float
    limit: int
    subset: Subset

    def sql(self) -> tuple[str, dict[str, Any]]:
        measure = _measure(self.measure)
        within, tenants = self._within()
        # PREWHERE is for the one column that leaves next to nothing.
        text = f"""
            SELECT {", ".join(LISTED)}, {NAMED}, {ARRIVED} FROM requests
            PREWHERE {measure} >= toFloat32(%(least)s)
            WHERE ({within})
                AND time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC') AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')
                AND {self.subset.where()}
            ORDER BY {measure} DESC, ingested_at, batch, row LIMIT %(limit)s
        """
        bounds = {"from_ms": self.from_ms, "until_ms": self.until_ms, "limit": self.limit, "least": repr(self.least)}
        return text, bounds | self.subset.parameters() | tenants

    def _within(self) -> tuple[str, dict[str, str]]:
        """By tenant and time, as the sort key has them; requests of the same time that are in no cell do no harm. A set for each grain:
        ranges one after another would take longer to plan than to read."""
        tenants: dict[str, str] = {}
        sets: dict[str, set[str]] = {}
        for cell in self.cells:
            name = tenants.setdefault(cell.keys[0], f"of_{len(tenants)}")
            sets.setdefault(cell.grain, set()).add(f"(%({name})s, toDateTime({cell.at_s}, 'UTC'))")
        conditions = (
            f"(tenant, {BEGINS[grain]}(time)) IN ({', '.join(sorted(members))})" for grain, members in sets.items()
        )
        return " OR ".join(conditions), {name: tenant for tenant, name in tenants.items()}


@dataclass(frozen=True)
class OneRequest:
    """The request of this tenant, time and key, as it arrived first: TOLD and NAMED."""

    name: ClassVar[str] = "one_request"
    tenant: str
    time_ms: int
    key: str

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT {", ".join(TOLD)}, {NAMED} FROM requests
            WHERE tenant = %(tenant)s AND time = fromUnixTimestamp64Milli(%(time_ms)s, 'UTC') AND identity = toUInt64(%(key)s)
                AND NOT observed
            ORDER BY ingested_at, batch, row LIMIT 1
        """
        return text, {"tenant": self.tenant, "time_ms": self.time_ms, "key": self.key}


def _cells(at: str, measure: str) -> str:
    keys = ", ".join(KEYS)
    return f"SELECT '{at}' AS grain, toUnixTimestamp({at}) AS at_s, {_measure(measure)} AS value, requests, {keys} FROM slowest_{at}"


def _grain(name: str) -> str:
    if name not in GRAINS:
        raise ValueError(f"unknown grain {name!r}: one of {', '.join(GRAINS)}")
    return name


def _measure(name: str) -> str:
    if name not in MEASURES:
        raise ValueError(f"unknown measure {name!r}: one of {', '.join(MEASURES)}")
    return name
