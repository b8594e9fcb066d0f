"""Energy by the hour, added up for reports: what tenants had, and beside it what is idle and what is nobody's, by cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import WINDOWS

GROUPS = ("tenant", "model", "tier", "region", "node", "engine")
# Rows that belong to no tenant, and their columns of energy_hours.
LABELS = {
    "idle": ("idle_nkwh", "idle_gpu_nh"),
    "gap": ("gap_nkwh", "gap_gpu_nh"),
    "no_event": ("no_event_nkwh", "no_event_gpu_nh"),
    "aborted": ("aborted_nkwh", "aborted_gpu_nh"),
    "no_engine": ("no_engine_nkwh", "no_engine_gpu_nh"),
}
HOURS = "hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC')"


@dataclass(frozen=True)
class EnergySums:
    """Sums over `[from_s, until_s)`, both on whole hours, by window and groups, and by all that decides on a price.

    window (epoch s), since (the latest of `edges_s` up to the hour), hour of the day (0 unless `by_hour`), region, product, label (of
    LABELS; '' for tenants), the groups; then requests, prompt tokens computed, output tokens, nano-kWh, nano-GPU-hours, simulated.
    """

    name: ClassVar[str] = "energy_sums"
    from_s: int
    until_s: int
    window: str
    group_by: tuple[str, ...]
    edges_s: tuple[int, ...]
    by_hour: bool
    only: tuple[tuple[str, str], ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        _check(self.group_by, "group")
        _check([column for column, _ in self.only], "filter")
        groups = "".join(f", {name} AS g_{name}" for name in self.group_by)
        named = "".join(f", g_{name}" for name in self.group_by)
        where = " AND ".join(f"{column} = %(only_{column})s" for column, _ in self.only) or "1"
        window = WINDOWS[self.window].format(at="hour")
        text = f"""
            SELECT {window} AS window_s, roundDown(toUnixTimestamp(hour), %(edges_s)s) AS since_s,
                {"toHour(hour)" if self.by_hour else "0"} AS hour_of_day, region AS of_region, product AS of_product, label{groups},
                sum(requests) AS ended, sum(prefill_tokens), sum(decode_tokens), sum(energy_nkwh) AS nkwh, sum(gpu_nh) AS nh,
                max(simulated)
            FROM ({_tenants()} UNION ALL {_nobodys()})
            WHERE {where}
            GROUP BY window_s, since_s, hour_of_day, of_region, of_product, label{named}
            HAVING nkwh != 0 OR nh != 0 OR ended != 0
            ORDER BY window_s, label{named}
        """
        return text, {
            "from_s": self.from_s,
            "until_s": self.until_s,
            "start_s": self.from_s,
            "edges_s": list(self.edges_s),
            **{f"only_{column}": value for column, value in self.only},
        }


@dataclass(frozen=True)
class EnergyState:
    """One row over `[from_s, until_s)`: windows, the worst conservation error, windows above `most_error_ppb` billionths, then the joules
    of the counters, tenants, idle time and each cause (gap, no_event, aborted, no_engine), simulated."""

    name: ClassVar[str] = "energy_state"
    from_s: int
    until_s: int
    most_error_ppb: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT countIf(gpu_s > 0), max(conservation_error), countIf(conservation_error > %(most_error_ppb)s / 1e9), sum(counter_j),
                sum(attributed_j), sum(idle_j), sum(unattributed_gap_j), sum(unattributed_no_event_j), sum(unattributed_aborted_j),
                sum(unattributed_no_engine_j), max(simulated)
            FROM energy_windows FINAL
            WHERE window_start >= toDateTime(%(from_s)s, 'UTC') AND window_start < toDateTime(%(until_s)s, 'UTC')
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "most_error_ppb": self.most_error_ppb}


@dataclass(frozen=True)
class LatestWindow:
    """The start of the latest window with energy since `from_s`, in epoch seconds; 0 if there is none."""

    name: ClassVar[str] = "energy_latest_window"
    from_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT toUnixTimestamp(max(window_start)) FROM energy_windows
            WHERE window_start >= toDateTime(%(from_s)s, 'UTC') AND gpu_s > 0
        """
        return text, {"from_s": self.from_s}


def _tenants() -> str:
    return f"""
        SELECT hour, node, engine, region, product, simulated, tenant, model, tier, '' AS label,
            requests, prefill_tokens, decode_tokens, energy_nkwh, gpu_nh
        FROM energy_attributed_hours FINAL WHERE {HOURS}
    """


def _nobodys() -> str:
    labels = ", ".join(f"('{label}', {energy}, {gpu})" for label, (energy, gpu) in LABELS.items())
    return f"""
        SELECT hour, node, engine, region, product, simulated, '' AS tenant, model, '' AS tier, part.1 AS label,
            toUInt64(0) AS requests, 0. AS prefill_tokens, 0. AS decode_tokens, part.2 AS energy_nkwh, part.3 AS gpu_nh
        FROM (SELECT * FROM energy_hours FINAL WHERE {HOURS}) ARRAY JOIN [{labels}] AS part
    """


def _check(names: tuple[str, ...] | list[str], what: str) -> None:
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"unknown {what} {name!r}: one of {', '.join(GROUPS)}")
