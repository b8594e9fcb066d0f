"""Rows of energy by the hour, or by the day where days are summed up: what reports and charts add up.

Each SELECT here gives the columns of COLUMNS; `simulated` is there too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What is known of a row; what rows are narrowed to and grouped by.
GROUPS = ("tenant", "model", "tier", "region", "cluster", "node", "engine")
OF_ENGINES = frozenset({"node", "engine"})  # known of hours only
OF_TENANT_DAYS = frozenset({"tenant", "region"})  # all that energy_tenant_days knows
# Rows that belong to no tenant, and their columns of energy_hours.
LABELS = {
    "idle": ("idle_nkwh", "idle_gpu_nh"),
    "gap": ("gap_nkwh", "gap_gpu_nh"),
    "no_event": ("no_event_nkwh", "no_event_gpu_nh"),
    "aborted": ("aborted_nkwh", "aborted_gpu_nh"),
    "no_engine": ("no_engine_nkwh", "no_engine_gpu_nh"),
}
MEASURES = ("requests", "prefill_tokens", "decode_tokens", "energy_nkwh", "gpu_nh")
Span = tuple[int, int]  # epoch seconds, half-open
ANYTHING = "1"
AMONG = " AND tenant IN %(among)s"


@dataclass(frozen=True)
class Sources:
    """Where the energy of `[from_s, until_s)` is read: `spans` from the hours of engines, the rest from the days of `versions`.

    `by_day`: from energy_days or energy_tenant_days, which have tenants and whole days; else from energy_day_hours, which has hours and no
    tenants.
    """

    from_s: int
    until_s: int
    spans: tuple[Span, ...]
    versions: tuple[int, ...] = ()
    by_day: bool = False

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {"from_s": self.from_s, "until_s": self.until_s}
        for place, (start, end) in enumerate(self.spans):
            found |= {f"from_{place}": start, f"until_{place}": end}
        return found | ({"versions": list(self.versions)} if self.versions else {})

    def within(self) -> str:
        """Of the hours that are read as they are."""
        spans = (
            f"(hour >= toDateTime(%(from_{place})s, 'UTC') AND hour < toDateTime(%(until_{place})s, 'UTC'))"
            for place in range(len(self.spans))
        )
        return f"({' OR '.join(spans)})"


def rows(
    sources: Sources, columns: Sequence[str], only: Sequence[str] = (), *, bands: bool = False, among: bool = False
) -> str:
    """A SELECT of `hour`, `hour_of_day`, `label`, `product`, `simulated`, these columns of GROUPS and all of MEASURES, of `sources`.

    `only`: narrowed to `%(only_NAME)s` of these GROUPS. `among`: to the tenants of `%(among)s`. `bands`: `hour_of_day` is rounded down to
    `%(bands)s`, and 0 without.
    """
    check(columns, "group")
    check(only, "filter")
    cluster = "cluster" in {*columns, *only}
    parts = []
    if sources.spans:
        hour_of_day = "toUInt8(roundDown(toHour(hour), %(bands)s))" if bands else "toUInt8(0)"
        shared = (
            f"hour, {hour_of_day} AS hour_of_day, label, product, simulated{_named(columns)}, {', '.join(MEASURES)}"
        )
        where = " AND ".join(f"{name} = %(only_{name})s" for name in only) or ANYTHING
        tenants = _tenants(sources.within(), only, cluster=cluster, among=among)
        parts.append(f"SELECT {shared} FROM ({tenants}) WHERE {where}")
        if not among:
            parts.append(f"SELECT {shared} FROM ({_nobodys(sources.within())}) WHERE {where}")
    if sources.versions:
        parts.append(_summed(sources, columns, only, bands=bands, among=among))
    return " UNION ALL ".join(parts) or f"({_nothing(columns)})"


def only_parameters(only: Mapping[str, str] | Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {f"only_{name}": value for name, value in dict(only).items()}


def check(names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"unknown {what} {name!r}: one of {', '.join(GROUPS)}")


def _summed(sources: Sources, columns: Sequence[str], only: Sequence[str], *, bands: bool, among: bool) -> str:
    table, at = "energy_day_hours", "hour"
    if sources.by_day:
        table, at = "energy_days" if {*columns, *only} - OF_TENANT_DAYS else "energy_tenant_days", "day"
    band = "band" if sources.by_day else "toUInt8(roundDown(toHour(hour), %(bands)s))"
    hour_of_day = band if bands else "toUInt8(0)"
    where = "".join(f" AND {name} = %(only_{name})s" for name in only) + (AMONG if among else "")
    return f"""
        SELECT {at} AS hour, {hour_of_day} AS hour_of_day, label, product, simulated{_named(columns)}, {", ".join(MEASURES)}
        FROM {table}
        WHERE {at} >= toDateTime(%(from_s)s, 'UTC') AND {at} < toDateTime(%(until_s)s, 'UTC') AND version IN %(versions)s{where}
    """


def _tenants(within: str, only: Sequence[str], *, cluster: bool, among: bool) -> str:
    """Where an engine's part of a cluster is asked for, the engine's row of the hour says it."""
    keyed = "".join(f" AND {name} = %(only_{name})s" for name in only if name in {"tenant", "node", "engine", "tier"})
    keyed += AMONG if among else ""
    text = f"""
        SELECT hour, node, engine, region, product, simulated, tenant, model, tier, '' AS label, {", ".join(MEASURES)}
        FROM energy_attributed_hours FINAL WHERE {within}{keyed}
    """
    if not cluster:
        return text
    places = f"SELECT hour, node, engine, cluster FROM energy_hours FINAL WHERE {within}"
    return f"SELECT * FROM ({text}) AS a ANY LEFT JOIN ({places}) AS c USING (hour, node, engine)"


def _nobodys(within: str) -> str:
    labels = ", ".join(f"('{label}', {energy}, {gpu})" for label, (energy, gpu) in LABELS.items())
    return f"""
        SELECT hour, node, engine, region, cluster, product, simulated, '' AS tenant, model, '' AS tier, part.1 AS label,
            toUInt64(0) AS requests, 0. AS prefill_tokens, 0. AS decode_tokens, part.2 AS energy_nkwh, part.3 AS gpu_nh
        FROM (SELECT * FROM energy_hours FINAL WHERE {within}) ARRAY JOIN [{labels}] AS part
    """


def _nothing(columns: Sequence[str]) -> str:
    names = "".join(f", '' AS {name}" for name in columns)
    return f"""
        SELECT toDateTime(0, 'UTC') AS hour, toUInt8(0) AS hour_of_day, '' AS label, '' AS product, false AS simulated{names},
            toUInt64(0) AS requests, 0. AS prefill_tokens, 0. AS decode_tokens, toInt64(0) AS energy_nkwh, toInt64(0) AS gpu_nh
        WHERE 0
    """


def _named(columns: Sequence[str]) -> str:
    return "".join(f", {name}" for name in columns)
