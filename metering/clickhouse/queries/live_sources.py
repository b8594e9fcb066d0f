"""Which rollup answers a question about requests: the one with the fewest rows that still tells apart what is asked for.

Reading and merging sketches is what costs, microseconds each, so a step or a group should be few rows. Migration 0011 says how the tables
hang together.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DIMENSIONS = ("model", "tier", "region", "cluster", "tenant")  # cuts of several are named in this order
# The three that have a cut. With the model, the rows of all four are about as few.
OF_THREE = {"tier", "region", "cluster"}
GRAINS = {"minute": 60, "hour": 3600, "day": 86_400}
RECENT_S = 25 * 3600  # an hour less than what is made, as what is read now may have been written a while ago
STATUSES = ("ok", "error", "cancelled")
TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
COUNTS = (*STATUSES, *TOKENS)


@dataclass(frozen=True)
class Subset:
    """Which requests: those of one tenant, one model and so on, or all. Values are parameters, never text of the query."""

    tenant: str | None = None
    model: str | None = None
    tier: str | None = None
    region: str | None = None
    cluster: str | None = None

    def where(self) -> str:
        """Of tables that know whether a request was only observed."""
        return f"NOT observed AND {self.named()}"

    def named(self) -> str:
        return " AND ".join(f"{name} = %({name})s" for name in self.parameters()) or "1"

    def parameters(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Piece:
    """`[from_s, until_s)` of one grain. `recent`: all of it is less than RECENT_S ago, so that minutes by tenant and by cut are there."""

    grain: str
    from_s: int
    until_s: int
    recent: bool = False


@dataclass(frozen=True)
class Source:
    """A table with its columns of counts as expressions, the condition for the subset, and what the group's name is there."""

    table: str
    grain: str
    counts: Mapping[str, str]
    condition: str
    group: str

    def select(self, from_name: str, until_name: str, wanted: tuple[str, ...]) -> str:
        """Rows of one piece: group_name, at_s, counts, sketches. Bounds are parameters of these names."""
        counts = ", ".join(f"{expression} AS c_{name}" for name, expression in self.counts.items())
        sketches = "".join(f", r.{name} AS s_{name}" for name in wanted)
        return f"""
            SELECT {self.group} AS group_name, toUnixTimestamp({self.grain}) AS at_s, {counts}{sketches}
            FROM {self.table} AS r
            WHERE {self.grain} >= toDateTime(%({from_name})s, 'UTC') AND {self.grain} < toDateTime(%({until_name})s, 'UTC')
                AND {self.condition}
        """


def union(
    pieces: tuple[Piece, ...], subset: Subset, group: str | None, sketches: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    """The rows of all pieces, as `Source.select` gives them, and their parameters: piece n is `[from_n, until_n)`."""
    parameters, parts = subset.parameters(), []
    for number, piece in enumerate(pieces):
        found = source(piece.grain, subset, group, recent=piece.recent)
        parts.append(found.select(f"from_{number}", f"until_{number}", sketches))
        parameters |= {f"from_{number}": piece.from_s, f"until_{number}": piece.until_s}
    return " UNION ALL ".join(parts), parameters


def source(grain: str, subset: Subset, group: str | None = None, *, recent: bool = True) -> Source:
    """Raises ValueError for an unknown grain or group."""
    if grain not in GRAINS:
        raise ValueError(f"unknown grain {grain!r}: one of {', '.join(GRAINS)}")
    if group is not None and group not in DIMENSIONS:
        raise ValueError(f"unknown group {group!r}: one of {', '.join(DIMENSIONS)}")
    asked = {*subset.parameters(), *({group} if group else ())}
    kept = recent or grain != "minute"
    if asked == {"tenant"} and kept:
        return Source(f"tenants_{grain}", grain, _summed(), subset.named(), group or "''")
    if "tenant" in asked:
        return _of_tenants(grain, subset, group)
    if kept and (len(asked) <= 2 or asked == OF_THREE):
        return _cut(grain, subset, group, [name for name in DIMENSIONS if name in asked])
    return Source(f"service_{grain}", grain, _summed(), subset.named(), group or "''")


def _of_tenants(grain: str, subset: Subset, group: str | None) -> Source:
    if grain == "day":
        return Source("tenant_day", grain, _summed(), subset.named(), group or "''")
    by_status = {status: f"if(status = '{status}', r.requests, 0)" for status in STATUSES}
    counts = by_status | {name: f"r.{name}" for name in TOKENS}
    return Source(f"requests_{grain}", grain, counts, subset.where(), group or "''")


def _cut(grain: str, subset: Subset, group: str | None, asked: list[str]) -> Source:
    columns = dict(zip(asked, ("name", "other", "third"), strict=False))
    given = [f"{columns[name]} = %({name})s" for name in subset.parameters()]
    condition = " AND ".join([f"cut = '{','.join(asked) or 'all'}'", *given])
    return Source(f"cuts_{grain}", grain, _summed(), condition, columns[group] if group else "''")


def _summed() -> dict[str, str]:
    return {name: f"r.{name}" for name in COUNTS}


def pieces(from_s: int, until_s: int, *, open_ended: bool) -> tuple[Piece, ...]:
    """`[from_s, until_s)`, on whole minutes, in the coarsest grains that fit. `open_ended`: nothing is later than the end, so that the last
    piece may be of any grain."""
    found: list[Piece] = []
    _fill(found, from_s, until_s, tuple(reversed(GRAINS)), open_ended)
    return tuple(found)


def _fill(found: list[Piece], from_s: int, until_s: int, grains: tuple[str, ...], open_ended: bool) -> None:
    if from_s >= until_s:
        return
    grain, finer = grains[0], grains[1:]
    size = GRAINS[grain]
    first = -(-from_s // size) * size
    last = -(-until_s // size) * size if open_ended else until_s // size * size
    if not finer:
        found.append(Piece(grain, from_s, until_s))
        return
    if first >= last:
        _fill(found, from_s, until_s, finer, open_ended)
        return
    _fill(found, from_s, first, finer, False)
    found.append(Piece(grain, first, last))
    _fill(found, last, until_s, finer, open_ended)
