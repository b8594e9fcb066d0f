"""What tenants used and what latency they saw, from the live rollups. Nothing here is money: those may hold a cross-batch duplicate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live import QUANTILES
from metering.clickhouse.queries.live_sources import Subset
from metering.clickhouse.queries.spans import within

LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
STATUSES = ("ok", "error", "cancelled")
OTHERS = "*"  # no tenant's key
GRAINS = ("minute", "hour", "day")


@dataclass(frozen=True)
class Slice:
    """`[from_s, until_s)`, both on whole steps of `grain`, of a part of the service. `by`: what its rows are told apart by beside the
    tenant, '' nothing."""

    grain: str
    from_s: int
    until_s: int
    subset: Subset
    by: str = ""

    @property
    def table(self) -> str:
        return self._kind()[0]

    def count(self, status: str, when: str = "") -> str:
        """How many requests ended so."""
        if self._kind()[1]:
            return f"sumIf(r.requests, r.status = '{status}'{f' AND {when}' if when else ''})"
        return f"sumIf(r.{status}, {when})" if when else f"sum(r.{status})"

    def where(self) -> str:
        return f"{within(self.grain)} AND {self.subset.where() if self._kind()[1] else self.subset.named()}"

    def parameters(self) -> dict[str, Any]:
        return {"from_s": self.from_s, "until_s": self.until_s} | self.subset.parameters()

    def _kind(self) -> tuple[str, bool]:
        """The smallest rollup that says it; and whether a row of it is of one status, and may be of what was only observed."""
        if self.grain not in GRAINS:
            raise ValueError(f"unknown grain {self.grain!r}: one of {', '.join(GRAINS)}")
        if not self.by and set(self.subset.parameters()) <= {"tenant"}:
            return f"tenants_{self.grain}", False
        return ("tenant_day", False) if self.grain == "day" else (f"requests_{self.grain}", True)


@dataclass(frozen=True)
class TenantCounts:
    """One row for each tenant with requests in the slice: tenant; since `since_s` requests by status, input and output tokens; and
    requests and tokens before."""

    name: ClassVar[str] = "tenant_counts"
    slice: Slice
    since_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        now = f"{self.slice.grain} >= toDateTime(%(since_s)s, 'UTC')"
        counts = ", ".join(self.slice.count(status, now) for status in STATUSES)
        before = " + ".join(self.slice.count(status, f"NOT ({now})") for status in STATUSES)
        text = f"""
            SELECT tenant, {counts}, sumIf(r.input_tokens, {now}), sumIf(r.output_tokens, {now}),
                {before}, sumIf(r.input_tokens + r.output_tokens, NOT ({now}))
            FROM {self.slice.table} AS r WHERE {self.slice.where()}
            GROUP BY tenant
        """
        return text, self.slice.parameters() | {"since_s": self.since_s}


@dataclass(frozen=True)
class TenantLatencies:
    """One row for each of `tenants` with requests in the slice: tenant, then for each of LATENCIES its QUANTILES."""

    name: ClassVar[str] = "tenant_latencies"
    slice: Slice
    tenants: tuple[str, ...]

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        levels = ", ".join(
            str(level) for level in (0.01, *QUANTILES)
        )  # the first number is the sketch's relative accuracy
        merged = ", ".join(f"quantilesDDMerge({levels})(r.{name}) AS {name}_quantiles" for name in LATENCIES)
        text = f"""
            SELECT tenant, {merged} FROM {self.slice.table} AS r
            WHERE tenant IN %(tenants)s AND {self.slice.where()} GROUP BY tenant
        """
        return text, self.slice.parameters() | {"tenants": list(self.tenants)}


@dataclass(frozen=True)
class TenantSteps:
    """Tokens in steps of `step_s` seconds from the slice's start: start (epoch s), tenant (one of `named`, or OTHERS), requests, input and
    output tokens."""

    name: ClassVar[str] = "tenant_steps"
    slice: Slice
    step_s: int
    named: tuple[str, ...]

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        step = f"intDiv(toUnixTimestamp({self.slice.grain}) - %(from_s)s, %(step_s)s) * %(step_s)s + %(from_s)s"
        requests = " + ".join(self.slice.count(status) for status in STATUSES)
        text = f"""
            SELECT {step} AS at_s, if(tenant IN %(named)s, toString(tenant), '{OTHERS}') AS owner, {requests},
                sum(r.input_tokens), sum(r.output_tokens)
            FROM {self.slice.table} AS r WHERE {self.slice.where()}
            GROUP BY at_s, owner ORDER BY at_s, owner
        """
        return text, self.slice.parameters() | {"step_s": self.step_s, "named": list(self.named)}


@dataclass(frozen=True)
class TenantParts:
    """One row for each value of a dimension that the subset's requests have: value, requests by status, input and output tokens, and the
    QUANTILES of each of LATENCIES; the most tokens first."""

    name: ClassVar[str] = "tenant_parts"
    slice: Slice
    dimension: str
    limit: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        if self.dimension not in {"model", "tier", "region"}:
            raise ValueError(f"unknown dimension {self.dimension!r}")
        levels = ", ".join(str(level) for level in (0.01, *QUANTILES))
        merged = ", ".join(f"quantilesDDMerge({levels})(r.{name}) AS {name}_quantiles" for name in LATENCIES)
        counts = ", ".join(self.slice.count(status) for status in STATUSES)
        text = f"""
            SELECT {self.dimension} AS value, {counts}, sum(r.input_tokens) AS input_sum, sum(r.output_tokens) AS output_sum, {merged}
            FROM {self.slice.table} AS r WHERE {self.slice.where()}
            GROUP BY value ORDER BY input_sum + output_sum DESC, value LIMIT %(limit)s
        """
        return text, self.slice.parameters() | {"limit": self.limit}
