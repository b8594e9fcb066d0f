"""Engine counters against events, from the minutes that energy attribution leaves in `energy_windows`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

FILTERS = ("node", "engine", "model", "region")


@dataclass(frozen=True)
class EngineHours:
    """One row for each engine and hour of `[from_s, until_s)`, in that order: its hour (epoch s), node, engine, model and region, then
    sums over its minutes.

    `only`: values of FILTERS. An engine's model and region in an hour are its last ones. Windows without an engine (GPUs that none
    claims) have nothing to compare.
    """

    name: ClassVar[str] = "reconciliation_engine_hours"
    from_s: int
    until_s: int
    only: tuple[tuple[str, str], ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        for column, _ in self.only:
            if column not in FILTERS:
                raise ValueError(f"unknown filter {column!r}: one of {', '.join(FILTERS)}")
        # On the grouped row, so that an hour is not cut in two where the engine was given another model.
        having = " AND ".join(f"{column} = %({column})s" for column, _ in self.only) or "1"
        text = f"""
            SELECT hour_s, w.node AS node, w.engine AS engine,
                argMax(w.model, w.window_start) AS model, argMax(w.region, w.window_start) AS region,
                max(w.simulated) AS any_simulated,
                count() AS windows, sum(w.engine_restarts) AS restarts, sum(w.engine_gap_s) AS gap_s,
                sum(w.engine_prefill_tokens + w.engine_cached_tokens) AS engine_input,
                sum(w.engine_cached_tokens) AS engine_cached, sum(w.engine_decode_tokens) AS engine_output,
                sum(w.engine_requests_finished) AS engine_requests, sum(w.engine_requests_aborted) AS aborted,
                sum(w.event_prefill_tokens + w.event_cached_tokens) AS event_input,
                sum(w.event_cached_tokens) AS event_cached, sum(w.event_decode_tokens) AS event_output,
                sum(w.event_requests) AS event_requests
            FROM energy_windows AS w FINAL
            WHERE w.engine != ''
                AND w.window_start >= toDateTime(%(from_s)s, 'UTC') AND w.window_start < toDateTime(%(until_s)s, 'UTC')
            GROUP BY toUnixTimestamp(toStartOfHour(w.window_start)) AS hour_s, node, engine
            HAVING {having}
            ORDER BY hour_s, node, engine
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s} | dict(self.only)
