"""Statements that finish a span of energy: rows that vanished, and the hours that its minutes belong to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

SPAN = "window_start >= toDateTime(%(start_s)s, 'UTC') AND window_start < toDateTime(%(end_s)s, 'UTC')"
HOURS = "window_start >= toDateTime(%(from_hour_s)s, 'UTC') AND window_start < toDateTime(%(until_hour_s)s, 'UTC')"
# Columns of energy_hours and what they are of energy_windows: joules and GPU-seconds.
IN_NANO = {
    "counter_nkwh": "counter_j",
    "idle_nkwh": "idle_j",
    "attributed_nkwh": "attributed_j",
    "gap_nkwh": "unattributed_gap_j",
    "no_event_nkwh": "unattributed_no_event_j",
    "aborted_nkwh": "unattributed_aborted_j",
    "no_engine_nkwh": "unattributed_no_engine_j",
    "gpu_nh": "gpu_s",
    "idle_gpu_nh": "idle_gpu_s",
    "gap_gpu_nh": "gap_gpu_s",
    "no_event_gpu_nh": "no_event_gpu_s",
    "aborted_gpu_nh": "aborted_gpu_s",
    "no_engine_gpu_nh": "no_engine_gpu_s",
}


@dataclass(frozen=True)
class Written:
    """The span of a computation (epoch seconds) and its version."""

    start_s: int
    end_s: int
    version: int

    def parameters(self) -> dict[str, Any]:
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "from_hour_s": self.start_s // 3600 * 3600,
            "until_hour_s": -(-self.end_s // 3600) * 3600,
            "version": self.version,
        }


@dataclass(frozen=True)
class BlankWindows:
    """Rows of zeros for the engines of energy_windows that this computation no longer has."""

    name: ClassVar[str] = "energy_blank_windows"
    written: Written

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        keys = "window_start, node, engine, region, cluster, model, product, simulated"
        text = f"""
            INSERT INTO energy_windows ({keys}, engine_gap_s, version)
            SELECT {keys}, 60, %(version)s FROM energy_windows FINAL WHERE {SPAN} AND version < %(version)s
        """
        return text, self.written.parameters()


@dataclass(frozen=True)
class BlankAttributed:
    """The same for tenants in energy_attributed."""

    name: ClassVar[str] = "energy_blank_attributed"
    written: Written

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        keys = "window_start, node, engine, tenant, model, tier, region, product, simulated"
        text = f"""
            INSERT INTO energy_attributed ({keys}, version)
            SELECT {keys}, %(version)s FROM energy_attributed FINAL WHERE {SPAN} AND version < %(version)s
        """
        return text, self.written.parameters()


@dataclass(frozen=True)
class WriteHours:
    """The hours that the span touches, from their minutes. An engine's model and place are those of its last minute that had any."""

    name: ClassVar[str] = "energy_write_hours"
    written: Written

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        texts = ("model", "product", "region", "cluster")
        last = ", ".join(f"argMax(w.{name}, (w.gpu_s > 0, w.window_start))" for name in texts)
        sums = ", ".join(_nano(f"w.{column}") for column in IN_NANO.values())
        text = f"""
            INSERT INTO energy_hours (hour, node, engine, {", ".join(texts)}, simulated, windows, {", ".join(IN_NANO)},
                worst_conservation_error, version)
            SELECT toStartOfHour(w.window_start) AS at_hour, w.node, w.engine, {last}, max(w.simulated), countIf(w.gpu_s > 0),
                {sums}, max(w.conservation_error), %(version)s
            FROM energy_windows AS w FINAL WHERE {HOURS}
            GROUP BY at_hour, w.node, w.engine
        """
        return text, self.written.parameters()


@dataclass(frozen=True)
class WriteAttributedHours:
    """The same for tenants."""

    name: ClassVar[str] = "energy_write_attributed_hours"
    written: Written

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        keys = "node, engine, tenant, model, tier"
        text = f"""
            INSERT INTO energy_attributed_hours (hour, {keys}, region, product, requests, prefill_tokens, decode_tokens,
                energy_nkwh, gpu_nh, simulated, version)
            SELECT toStartOfHour(a.window_start) AS at_hour, {keys},
                argMax(a.region, (a.energy_j > 0, a.window_start)), argMax(a.product, (a.energy_j > 0, a.window_start)),
                sum(a.requests), sum(a.prefill_tokens), sum(a.decode_tokens),
                {_nano("a.energy_j")}, {_nano("a.gpu_s")}, max(a.simulated), %(version)s
            FROM energy_attributed AS a FINAL WHERE {HOURS}
            GROUP BY at_hour, {keys}
        """
        return text, self.written.parameters()


def _nano(column: str) -> str:
    """The sum of joules in nano-kilowatt-hours, of seconds in nano-hours."""
    each = "3.6e-6" if column.endswith("_s") else "3.6e-3"
    return f"toInt64(round(sum({column}) / {each}))"
