"""What draws power in a cluster now, by workload; and which clusters serve what: for choosing what to move or pause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.energy_rows import Sources, rows
from metering.clickhouse.queries.spans import within

WITHIN = within("hour")


@dataclass(frozen=True)
class Workloads:
    """Of a cluster in `[from_s, until_s)`, on whole hours: tenant, model, tier, nano-kWh, nano-GPU-hours, requests, simulated; those with
    the most energy first, at most `limit`."""

    name: ClassVar[str] = "energy_workloads"
    from_s: int
    until_s: int
    cluster: str
    limit: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        sources = Sources(self.from_s, self.until_s, ((self.from_s, self.until_s),))
        text = f"""
            SELECT tenant, model, tier, sum(energy_nkwh) AS nkwh, sum(gpu_nh), sum(requests), max(simulated)
            FROM ({rows(sources, ("tenant", "model", "tier"), ("cluster",))})
            WHERE label = ''
            GROUP BY tenant, model, tier HAVING nkwh > 0
            ORDER BY nkwh DESC, tenant, model, tier LIMIT %(limit)s
        """
        return text, sources.parameters() | {"only_cluster": self.cluster, "limit": self.limit}


@dataclass(frozen=True)
class ClusterModels:
    """Which models had GPU time in which cluster in `[from_s, until_s)`: cluster, model."""

    name: ClassVar[str] = "energy_cluster_models"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT DISTINCT cluster, model FROM energy_hours FINAL
            WHERE {WITHIN} AND gpu_nh > 0 AND model != '' ORDER BY cluster, model
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class IdlePower:
    """The mean power of one GPU of a cluster at rest in `[from_s, until_s)`, in watts by GPU time; NULL without any."""

    name: ClassVar[str] = "energy_idle_power"
    from_s: int
    until_s: int
    cluster: str

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT sum(idle_power_w * gpu_s) / nullIf(sum(gpu_s), 0) FROM energy_windows FINAL
            WHERE {within("window_start")}
                AND cluster = %(cluster)s AND gpu_s > 0
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "cluster": self.cluster}


@dataclass(frozen=True)
class PowerNow:
    """By cluster over the minutes of `[from_s, until_s)`: cluster, GPUs, the mean of their power together, and of their limits (NULL unless
    all of them tell one), in watts. `region`: of this one alone, '' all."""

    name: ClassVar[str] = "energy_power_now"
    from_s: int
    until_s: int
    region: str = ""

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        where = " AND region = %(region)s" if self.region else ""
        text = f"""
            SELECT cluster, uniqExact(node, gpu), sum(power_w_mean) / uniqExact(minute) AS power_w,
                if(countIf(isNull(power_limit_w)) = 0, sum(power_limit_w) / uniqExact(minute), NULL)
            FROM gpu_minute FINAL
            WHERE {within("minute")} AND mig = ''{where}
            GROUP BY cluster HAVING isNotNull(power_w) ORDER BY cluster
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s} | ({"region": self.region} if self.region else {})


@dataclass(frozen=True)
class Counters:
    """Over `[from_s, until_s)` of all engines or those narrowed to: nano-kWh of the counters, of tenants by the engines' rows, idle, gap,
    no_event, aborted, no_engine, and hours of engines.

    `only`: values of model, region and cluster.
    """

    name: ClassVar[str] = "energy_counters"
    from_s: int
    until_s: int
    only: tuple[tuple[str, str], ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        for column, _ in self.only:
            if column not in {"model", "region", "cluster"}:
                raise ValueError(f"counters know nothing of {column!r}")
        only = "".join(f" AND {column} = %({column})s" for column, _ in self.only)
        text = f"""
            SELECT sum(counter_nkwh), sum(attributed_nkwh), sum(idle_nkwh), sum(gap_nkwh), sum(no_event_nkwh), sum(aborted_nkwh),
                sum(no_engine_nkwh), count()
            FROM energy_hours FINAL WHERE {WITHIN}{only}
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s} | dict(self.only)
