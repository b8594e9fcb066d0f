"""What tenants got: errors and exact percentiles of latency, over events each once, as of a watermark."""

from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import Scope

# The smallest value that 95 % of what was measured do not exceed (nearest rank), in whole microseconds: what was sent as 0.1 ms is
# a Float32 a little above it, and must not pass for more.
P95_US = "toInt64(round(toFloat64(arraySort(groupArrayIf(assumeNotNull({at}), {of}))[intDiv(countIf({of}) * 95 + 99, 100)]) * 1000))"


def _figures() -> str:
    ttft, tpot = "status != 'error' AND isNotNull(ttft_ms)", "status != 'error' AND isNotNull(tpot_ms)"
    return f"""
        count() AS requests, countIf(status = 'error') AS errors,
        countIf({ttft}) AS ttft_measured, if(ttft_measured = 0, 0, {P95_US.format(at="ttft_ms", of=ttft)}) AS ttft_p95_us,
        countIf({tpot}) AS tpot_measured, if(tpot_measured = 0, 0, {P95_US.format(at="tpot_ms", of=tpot)}) AS tpot_p95_us
    """


@dataclass(frozen=True)
class ServiceFigures:
    """Columns: tenant, model, whether the row is all models of the tenant together, the figures."""

    name: ClassVar[str] = "service_figures"
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT tenant, model, grouping(model) AS all_models, {_figures()}
            FROM requests WHERE {self.scope.events()}
            GROUP BY GROUPING SETS ((tenant, model), (tenant))
            ORDER BY tenant, all_models, model
        """
        return text, self.scope.parameters()


@dataclass(frozen=True)
class ServiceHours:
    """The same by hour (epoch s in the third column), of one tenant, and of one model if one is named."""

    name: ClassVar[str] = "service_hours"
    scope: Scope
    model: str | None = None

    def sql(self) -> tuple[str, dict[str, Any]]:
        only = "model = %(model)s AND " if self.model is not None else ""
        text = f"""
            SELECT tenant, '' AS shown, toUnixTimestamp(toStartOfHour(toDateTime(time, 'UTC'))) AS hour_s, {_figures()}
            FROM requests WHERE {only}{self.scope.events()}
            GROUP BY tenant, hour_s ORDER BY hour_s
        """
        return text, self.scope.parameters() | ({"model": self.model} if self.model is not None else {})
