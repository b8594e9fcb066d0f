"""What moved in the last hours: load by customer, latency by model, who is silent, and limits of power. From rows of minutes, and of
raw samples only the newest, so that it costs the same however much there is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries import spans
from metering.clickhouse.queries.live import QUANTILES
from metering.clickhouse.queries.live_sources import RECENT_S, Subset
from metering.clickhouse.queries.telemetry_minutes import within

# Sums and counts of an engine's histograms that tell how fast it works; neither holds the time in the queue.
WORK = ("itl", "prefill")
WORK_COUNTERS = tuple(f"{name}_{part}" for name in WORK for part in ("sum_s", "count"))
TOKEN_COUNTERS = ("prompt_tokens", "generation_tokens")
PLACE = ("model", "region", "cluster")
REQUEST_LATENCIES = ("ttft_ms", "tpot_ms")


@dataclass(frozen=True)
class TrafficMinutes:
    """Per minute and model in `[from_s, until_s)`: epoch s, model, requests, errors, tokens (input and output)."""

    name: ClassVar[str] = "causes_traffic"
    from_s: int
    until_s: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        if self.subset.tenant is None:
            counts, table, where = (
                "sum(r.ok + r.error + r.cancelled), sum(r.error)",
                "service_minute",
                _without_tenants(self.subset),
            )
        else:
            counts, table, where = (
                "sum(r.requests), sumIf(r.requests, status = 'error')",
                "requests_minute",
                self.subset.where(),
            )
        text = f"""
            SELECT toUnixTimestamp(minute) AS at_s, model, {counts}, sum(r.input_tokens + r.output_tokens)
            FROM {table} AS r WHERE {spans.within("minute")} AND {where} GROUP BY at_s, model ORDER BY at_s, model
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s} | self.subset.parameters()


@dataclass(frozen=True)
class LoadsGrown:
    """The customers of models whose tokens grew most from `[from_s, recent_s)` to `[recent_s, until_s)`, by tokens a second.

    Model, customer, growth. `now_s` is where the last minute ends if it is not over yet.
    """

    name: ClassVar[str] = "causes_loads_grown"
    from_s: int
    recent_s: int
    until_s: int
    now_s: int
    limit: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        recent = "minute >= toDateTime(%(recent_s)s, 'UTC')"
        text = f"""
            SELECT model, tenant, sumIf(r.input_tokens + r.output_tokens, {recent}) / (%(now_s)s - %(recent_s)s)
                - sumIf(r.input_tokens + r.output_tokens, NOT ({recent})) / (%(recent_s)s - %(from_s)s) AS growth
            FROM requests_minute AS r WHERE {spans.within("minute")} AND {self.subset.where()}
            GROUP BY model, tenant HAVING growth > 0 ORDER BY growth DESC, model, tenant LIMIT %(limit)s
        """
        bounds = {"from_s": self.from_s, "recent_s": self.recent_s, "until_s": self.until_s, "now_s": self.now_s}
        return text, bounds | {"limit": self.limit} | self.subset.parameters()


@dataclass(frozen=True)
class LoadMinutes:
    """Per minute of the named (model, customer) pairs that have requests in it: model, customer, epoch s, requests, tokens."""

    name: ClassVar[str] = "causes_load_minutes"
    from_s: int
    until_s: int
    models: tuple[str, ...]
    tenants: tuple[str, ...]
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT model, tenant, toUnixTimestamp(minute) AS at_s, sum(r.requests), sum(r.input_tokens + r.output_tokens)
            FROM requests_minute AS r
            WHERE {spans.within("minute")} AND model IN %(models)s AND tenant IN %(tenants)s AND {self.subset.where()}
            GROUP BY model, tenant, at_s ORDER BY model, tenant, at_s
        """
        named = {"models": list(self.models), "tenants": list(self.tenants)}
        return text, {"from_s": self.from_s, "until_s": self.until_s} | named | self.subset.parameters()


@dataclass(frozen=True)
class Durations:
    """Model, customer, and how long its requests run, the median end to end less the median in the queue (ms), of the named pairs before
    and from `since_s` on; NaN where nothing was measured."""

    name: ClassVar[str] = "causes_durations"
    from_s: int
    since_s: int
    until_s: int
    models: tuple[str, ...]
    tenants: tuple[str, ...]
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        levels = ", ".join(str(level) for level in (0.01, *QUANTILES))
        later = "minute >= toDateTime(%(since_s)s, 'UTC')"
        merged = f"quantilesDDMergeIf({levels})"
        before, after = (
            f"{merged}(r.e2e_ms, {when})[1] - ifNotFinite({merged}(r.queue_ms, {when})[1], 0)"
            for when in (f"NOT ({later})", later)
        )
        text = f"""
            SELECT model, tenant, {before}, {after}
            FROM requests_minute AS r
            WHERE {spans.within("minute")} AND model IN %(models)s AND tenant IN %(tenants)s AND {self.subset.where()}
            GROUP BY model, tenant
        """
        named = {"models": list(self.models), "tenants": list(self.tenants), "since_s": self.since_s}
        return text, {"from_s": self.from_s, "until_s": self.until_s} | named | self.subset.parameters()


@dataclass(frozen=True)
class RequestLatencies:
    """Per minute of these models: epoch s, model, requests, output tokens, the medians of REQUEST_LATENCIES (NaN if not measured).

    Merging a sketch takes microseconds, so rows without customers are read unless a customer is asked for.
    """

    name: ClassVar[str] = "causes_request_latencies"
    from_s: int
    until_s: int
    models: tuple[str, ...]
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        levels = ", ".join(str(level) for level in (0.01, *QUANTILES))
        medians = ", ".join(f"quantilesDDMerge({levels})(r.{name})[1]" for name in REQUEST_LATENCIES)
        counts, model, table, where = (
            "sum(r.ok + r.error + r.cancelled)",
            "model",
            "service_minute",
            _without_tenants(self.subset),
        )
        if self.subset.tenant is not None:
            counts, table, where = "sum(r.requests)", "requests_minute", self.subset.where()
        elif not self.subset.parameters().keys() - {"model"} and self.from_s >= time.time() - RECENT_S:
            model, table, where = "name", "cuts_minute", "cut = 'model'"
        text = f"""
            SELECT toUnixTimestamp(minute) AS at_s, {model} AS of_model, {counts}, sum(r.output_tokens), {medians}
            FROM {table} AS r WHERE {spans.within("minute")} AND {model} IN %(models)s AND {where}
            GROUP BY at_s, of_model ORDER BY at_s, of_model
        """
        named = {"models": list(self.models)}
        return text, {"from_s": self.from_s, "until_s": self.until_s} | named | self.subset.parameters()


@dataclass(frozen=True)
class WorkMinutes:
    """Per minute and PLACE: epoch s, the place, engines, then TOKEN_COUNTERS and WORK_COUNTERS summed over the engines."""

    name: ClassVar[str] = "causes_work_minutes"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        sums = ", ".join(f"sum(r.{name})" for name in (*TOKEN_COUNTERS, *WORK_COUNTERS))
        text = f"""
            SELECT toUnixTimestamp(minute) AS at_s, {", ".join(PLACE)}, uniqExact(node, engine), {sums}
            FROM engine_minute AS r FINAL WHERE {spans.within("minute")}
            GROUP BY at_s, {", ".join(PLACE)} ORDER BY at_s, {", ".join(PLACE)}
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class EnginesHeard:
    """Every engine with a sample in `[from_ms, until_ms)`: node, engine, PLACE, its newest sample (epoch ms), whether it answered then, the
    newest that it answered in (0: none), GPUs; then of its answers since `since_ms` the seconds that they span, and TOKEN_COUNTERS and
    WORK_COUNTERS as tuples, in the first of them and in the last."""

    name: ClassVar[str] = "causes_engines_heard"
    from_ms: int
    since_ms: int
    until_ms: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        recent = "s.up AND s.time >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC')"
        counters = f"({', '.join(f's.{name}' for name in (*TOKEN_COUNTERS, *WORK_COUNTERS))})"
        text = f"""
            SELECT node, engine, place.1, place.2, place.3, toUnixTimestamp64Milli(max(s.time)), argMax(s.up, s.time),
                toUnixTimestamp64Milli(maxIf(s.time, s.up)), place.4,
                dateDiff('millisecond', minIf(s.time, {recent}), maxIf(s.time, {recent})) / 1000 AS seconds,
                argMinIf({counters}, s.time, {recent}), argMaxIf({counters}, s.time, {recent}),
                argMax((s.model, s.region, s.cluster, s.gpus), (notEmpty(s.model), s.time)) AS place
            FROM engine_recent AS s WHERE {within("%(from_ms)s")}
            GROUP BY node, engine ORDER BY node, engine
        """
        return text, {"from_ms": self.from_ms, "since_ms": self.since_ms, "until_ms": self.until_ms}


@dataclass(frozen=True)
class EnginesBefore:
    """Every engine with minutes in `[from_s, until_s)`: node, engine, PLACE, GPUs, its last minute and how many samples that has, the last
    in which it answered (epoch s, 0: none), and the most samples of a minute."""

    name: ClassVar[str] = "causes_engines_before"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        # Without FINAL: a minute that was written twice changes none of these.
        text = f"""
            SELECT node, engine, place.1, place.2, place.3, place.4, toUnixTimestamp(max(r.minute)), argMax(r.samples, r.minute),
                toUnixTimestamp(maxIf(r.minute, r.up_share > 0)), max(r.samples),
                argMax((r.model, r.region, r.cluster, r.gpus), (notEmpty(r.model), r.minute)) AS place
            FROM engine_minute AS r WHERE {spans.within("r.minute")}
            GROUP BY node, engine ORDER BY node, engine
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class GpusHeard:
    """Every GPU with a sample in `[from_ms, until_ms)`: node, GPU, its newest sample (epoch ms), its limit of power then and the highest (W
    or NULL), and the last sample that had the highest (epoch ms)."""

    name: ClassVar[str] = "causes_gpus_heard"
    from_ms: int
    until_ms: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, gpu, toUnixTimestamp64Milli(max(s.time)), argMax(s.power_limit_w, s.time), max(s.power_limit_w),
                toUnixTimestamp64Milli(argMax(s.time, (ifNull(s.power_limit_w, 0), s.time)))
            FROM gpu_recent AS s WHERE mig = '' AND {within("%(from_ms)s")} GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, {"from_ms": self.from_ms, "until_ms": self.until_ms}


@dataclass(frozen=True)
class GpusBefore:
    """Every GPU with minutes in `[from_s, until_s)`: node, GPU, region, cluster, its last minute (epoch s) and how many samples that has,
    the most samples of a minute, its highest limit of power (W or NULL), and the last minute in which it had that (epoch s)."""

    name: ClassVar[str] = "causes_gpus_before"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, gpu, argMax(r.region, r.minute), argMax(r.cluster, r.minute), toUnixTimestamp(max(r.minute)),
                argMax(r.samples, r.minute), max(r.samples), max(r.power_limit_w),
                toUnixTimestamp(argMax(r.minute, (ifNull(r.power_limit_w, 0), r.minute)))
            FROM gpu_minute AS r WHERE mig = '' AND {spans.within("r.minute")}
            GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


def _without_tenants(subset: Subset) -> str:
    """For rollups that know no customer, and hold nothing of observing keys."""
    return " AND ".join(["1", *(f"{name} = %({name})s" for name in subset.parameters())])
