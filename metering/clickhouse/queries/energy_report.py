"""Energy added up for reports and charts: what tenants had, and beside it what is idle and what is nobody's, by cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.energy_rows import Sources, only_parameters, rows
from metering.clickhouse.queries.usage import WINDOWS

OTHERS = "*"  # no tenant's key


@dataclass(frozen=True)
class EnergySums:
    """Sums over `sources` by window and groups, and by all that decides on a price.

    window (epoch s), since (the latest of `edges_s` up to the hour), hour of the day (rounded down to one of `bands`), region, product,
    label (of LABELS; '' for tenants), the groups; then requests, prompt tokens computed, output tokens, nano-kWh, nano-GPU-hours,
    simulated.

    `largest`: only so many values of the first group have rows of their own, those with the most energy in all; what the others had is
    together under OTHERS. 0: all have. `among`: of these tenants alone, if any are named.
    """

    name: ClassVar[str] = "energy_sums"
    sources: Sources
    window: str
    group_by: tuple[str, ...]
    edges_s: tuple[int, ...]
    bands: tuple[int, ...] = (0,)
    only: tuple[tuple[str, str], ...] = ()
    largest: int = 0
    among: tuple[str, ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        banded = len(self.bands) > 1
        columns = tuple(dict.fromkeys((*self.group_by, "region")))
        found = rows(self.sources, columns, [name for name, _ in self.only], bands=banded, among=bool(self.among))
        groups = "".join(f", {name} AS g_{name}" for name in self.group_by)
        named = "".join(f", g_{name}" for name in self.group_by)
        window = WINDOWS[self.window].format(at="hour")
        text = f"""
            SELECT {window} AS window_s, roundDown(toUnixTimestamp(hour), %(edges_s)s) AS since_s,
                hour_of_day, region AS of_region, product AS of_product, label{groups},
                sum(requests) AS ended, sum(prefill_tokens) AS prefill, sum(decode_tokens) AS decode, sum(energy_nkwh) AS nkwh,
                sum(gpu_nh) AS nh, max(simulated) AS any_simulated
            FROM ({found})
            GROUP BY window_s, since_s, hour_of_day, of_region, of_product, label{named}
            HAVING nkwh != 0 OR nh != 0 OR ended != 0
        """
        if self.largest:
            text = self._cut(text)
        parameters: dict[str, Any] = {"start_s": self.sources.from_s, "edges_s": list(self.edges_s)}
        parameters |= {"bands": list(self.bands)} if banded else {}
        parameters |= {"among": list(self.among)} if self.among else {}
        return f"{text} ORDER BY window_s, label{named}", self.sources.parameters() | only_parameters(
            self.only
        ) | parameters

    def _cut(self, text: str) -> str:
        first, *others = (f"g_{name}" for name in self.group_by)
        kept = "".join(f", {name}" for name in others)
        return f"""
            SELECT window_s, since_s, hour_of_day, of_region, of_product, label,
                if(place <= {int(self.largest)}, {first}, '{OTHERS}') AS {first}{kept},
                sum(ended), sum(prefill), sum(decode), sum(nkwh), sum(nh), max(any_simulated)
            FROM
            (
                SELECT *, dense_rank() OVER (ORDER BY label != '', all_nkwh DESC, {first}) AS place
                FROM (SELECT *, sum(nkwh) OVER (PARTITION BY label, {first}) AS all_nkwh FROM ({text}))
            )
            GROUP BY window_s, since_s, hour_of_day, of_region, of_product, label, {first}{kept}
        """


@dataclass(frozen=True)
class EnergySteps:
    """Energy in steps of `step_s` seconds from `sources.from_s` on, without prices: start (epoch s), label, the group's value ('' without a
    group), requests, prompt tokens computed, output tokens, nano-kWh, nano-GPU-hours, simulated.

    `named`: the values that have rows of their own, the rest being OTHERS; none named: all.
    """

    name: ClassVar[str] = "energy_steps"
    sources: Sources
    step_s: int
    group: str = ""
    only: tuple[tuple[str, str], ...] = ()
    named: tuple[str, ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        found = rows(self.sources, (self.group,) if self.group else (), [name for name, _ in self.only])
        value = f"if(label != '', '', {self.group})" if self.group else "''"
        if self.named:
            value = f"multiIf(label != '', '', {self.group} IN %(named)s, {self.group}, '{OTHERS}')"
        text = f"""
            SELECT intDiv(toUnixTimestamp(hour) - %(from_s)s, %(step_s)s) * %(step_s)s + %(from_s)s AS at_s, label,
                toString({value}) AS value,
                sum(requests) AS ended, sum(prefill_tokens), sum(decode_tokens), sum(energy_nkwh) AS nkwh, sum(gpu_nh) AS nh, max(simulated)
            FROM ({found})
            GROUP BY at_s, label, value
            HAVING nkwh != 0 OR nh != 0 OR ended != 0
            ORDER BY at_s, label, value
        """
        named = {"named": list(self.named)} if self.named else {}
        return text, self.sources.parameters() | {"step_s": self.step_s} | only_parameters(self.only) | named


@dataclass(frozen=True)
class EnergyState:
    """One row over `[from_s, until_s)`: windows, the worst conservation error, windows above `most_error_ppb` billionths, then the joules
    of the counters, tenants, idle time and each cause (gap, no_event, aborted, no_engine), simulated; and the start of the latest window
    with energy in epoch seconds, 0 if there is none."""

    name: ClassVar[str] = "energy_state"
    from_s: int
    until_s: int
    most_error_ppb: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT countIf(gpu_s > 0), max(conservation_error), countIf(conservation_error > %(most_error_ppb)s / 1e9), sum(counter_j),
                sum(attributed_j), sum(idle_j), sum(unattributed_gap_j), sum(unattributed_no_event_j), sum(unattributed_aborted_j),
                sum(unattributed_no_engine_j), max(simulated), toUnixTimestamp(maxIf(window_start, gpu_s > 0))
            FROM energy_windows FINAL
            WHERE window_start >= toDateTime(%(from_s)s, 'UTC') AND window_start < toDateTime(%(until_s)s, 'UTC')
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "most_error_ppb": self.most_error_ppb}
