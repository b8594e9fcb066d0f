"""Whose load on a model goes up and down, and what the others' latency was meanwhile. From rows of minutes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live import QUANTILES
from metering.clickhouse.queries.live_sources import Subset
from metering.clickhouse.queries.spans import within

MEASURES = ("ttft_ms", "tpot_ms")
_LEVELS = ", ".join(str(level) for level in (0.01, *QUANTILES))
_P95 = QUANTILES.index(0.95) + 1
_WITHIN = within("minute")


@dataclass(frozen=True)
class PairLoads:
    """The (model, customer) pairs whose tokens a minute vary most in `[from_s, until_s)`."""

    name: ClassVar[str] = "neighbours_pairs"
    from_s: int
    until_s: int
    limit: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        # Minutes without any request count as 0: n, sum and sum of squares over all minutes give the variance.
        text = f"""
            SELECT model, tenant FROM
            (
                SELECT model, tenant, minute, toFloat64(sum(r.input_tokens + r.output_tokens)) AS tokens
                FROM requests_minute AS r WHERE {_WITHIN} AND {self.subset.where()} GROUP BY model, tenant, minute
            )
            GROUP BY model, tenant
            ORDER BY sum(tokens * tokens) - pow(sum(tokens), 2) / intDiv(%(until_s)s - %(from_s)s, 60) DESC, model, tenant LIMIT %(limit)s
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "limit": self.limit} | self.subset.parameters()


@dataclass(frozen=True)
class PairMinutes:
    """Per minute of these models: model, customer ('' for all but the named together), epoch s, tokens."""

    name: ClassVar[str] = "neighbours_minutes"
    from_s: int
    until_s: int
    models: tuple[str, ...]
    tenants: tuple[str, ...]
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT model, if(tenant IN %(tenants)s, tenant, '') AS who, toUnixTimestamp(minute) AS at_s,
                sum(r.input_tokens + r.output_tokens)
            FROM requests_minute AS r WHERE {_WITHIN} AND model IN %(models)s AND {self.subset.where()}
            GROUP BY model, who, at_s
        """
        named = {"models": list(self.models), "tenants": list(self.tenants)}
        return text, {"from_s": self.from_s, "until_s": self.until_s} | named | self.subset.parameters()


@dataclass(frozen=True)
class OthersLatency:
    """The p95 of MEASURES of everybody else's requests on `of_model`, whose customers are all but `but`, in the given minutes (epoch s).

    Rows: whether loud, the minute or 0 for all of the kind together, requests, the p95s (NaN if not measured).
    """

    name: ClassVar[str] = "neighbours_others"
    of_model: str
    but: str
    loud: tuple[int, ...]
    quiet: tuple[int, ...]
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        states = ", ".join(f"quantilesDDMergeState({_LEVELS})(r.{name}) AS {name}_state" for name in MEASURES)
        p95s = ", ".join(f"quantilesDDMerge({_LEVELS})({name}_state)[{_P95}]" for name in MEASURES)
        text = f"""
            SELECT at_s IN %(loud)s AS is_loud, at_s, sum(counted), {p95s} FROM
            (
                SELECT toUnixTimestamp(minute) AS at_s, sum(r.requests) AS counted, {states}
                FROM requests_minute AS r
                WHERE {_WITHIN} AND model = %(of_model)s AND tenant != %(but)s AND at_s IN %(minutes)s AND {self.subset.where()}
                GROUP BY at_s
            )
            GROUP BY GROUPING SETS ((is_loud), (is_loud, at_s))
        """
        minutes = sorted({*self.loud, *self.quiet})
        bounds = {"from_s": minutes[0], "until_s": minutes[-1] + 60}
        named = {"of_model": self.of_model, "but": self.but, "loud": list(self.loud), "minutes": minutes}
        return text, bounds | named | self.subset.parameters()
