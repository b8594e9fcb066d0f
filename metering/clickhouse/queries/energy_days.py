"""Statements that sum up the energy of a day that is over, and which days there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.energy_rows import MEASURES, Sources, rows

DAY_S = 86_400
# The tables of sums, and the day of their rows.
AT = {"energy_days": "day", "energy_tenant_days": "day", "energy_day_hours": "toStartOfDay(hour)"}
PLACES = ("model", "tier", "region", "cluster")


@dataclass(frozen=True)
class DaysWithEnergy:
    """The days before `until_s` of which some hour has energy: their first second (epoch s), in order."""

    name: ClassVar[str] = "energy_days_seen"
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT DISTINCT toUnixTimestamp(toStartOfDay(hour)) AS day_s FROM energy_hours
            WHERE hour < toDateTime(%(until_s)s, 'UTC') ORDER BY day_s
        """
        return text, {"until_s": self.until_s}


@dataclass(frozen=True)
class WriteDay:
    """A day's rows of energy_days, by the `bands` of its hours."""

    name: ClassVar[str] = "energy_write_day"
    start_s: int
    bands: tuple[int, ...]
    version: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        banded = len(self.bands) > 1
        keys = ", ".join(("label", "tenant", *PLACES, "product"))
        text = f"""
            INSERT INTO energy_days (day, band, {keys}, {", ".join(MEASURES)}, simulated, version)
            SELECT toDateTime(%(from_s)s, 'UTC'), hour_of_day, {keys}, {_sums()}, max(r.simulated), %(version)s
            FROM ({rows(_day(self.start_s), ("tenant", *PLACES), bands=banded)}) AS r
            GROUP BY hour_of_day, {keys} HAVING {_anything()}
        """
        bands = {"bands": list(self.bands)} if banded else {}
        return text, _day(self.start_s).parameters() | bands | {"version": self.version}


@dataclass(frozen=True)
class WriteTenantDay:
    """A day's rows of energy_tenant_days, from those of energy_days in the same version."""

    name: ClassVar[str] = "energy_write_tenant_day"
    start_s: int
    version: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        keys = "day, band, label, tenant, region, product"
        text = f"""
            INSERT INTO energy_tenant_days ({keys}, {", ".join(MEASURES)}, simulated, version)
            SELECT {keys}, {_sums()}, max(r.simulated), %(version)s
            FROM energy_days AS r WHERE day = toDateTime(%(from_s)s, 'UTC') AND version = %(version)s
            GROUP BY {keys}
        """
        return text, {"from_s": self.start_s, "version": self.version}


@dataclass(frozen=True)
class WriteDayHours:
    """A day's rows of energy_day_hours: by the hour and by place, all tenants together."""

    name: ClassVar[str] = "energy_write_day_hours"
    start_s: int
    version: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        keys = ", ".join(("label", *PLACES, "product"))
        text = f"""
            INSERT INTO energy_day_hours (hour, {keys}, {", ".join(MEASURES)}, simulated, version)
            SELECT hour, {keys}, {_sums()}, max(r.simulated), %(version)s
            FROM ({rows(_day(self.start_s), PLACES)}) AS r
            GROUP BY hour, {keys} HAVING {_anything()}
        """
        return text, _day(self.start_s).parameters() | {"version": self.version}


@dataclass(frozen=True)
class DropOlder:
    """Rows of a day in versions before `version`: nobody reads them any more."""

    name: ClassVar[str] = "energy_drop_older"
    table: str
    start_s: int
    version: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        at = AT[self.table]
        text = f"ALTER TABLE {self.table} DELETE WHERE {at} = toDateTime(%(from_s)s, 'UTC') AND version < %(version)s"
        return text, {"from_s": self.start_s, "version": self.version}


def _day(start_s: int) -> Sources:
    return Sources(start_s, start_s + DAY_S, ((start_s, start_s + DAY_S),))


def _sums() -> str:
    return ", ".join(f"sum(r.{name})" for name in MEASURES)


def _anything() -> str:
    return "sum(r.energy_nkwh) != 0 OR sum(r.gpu_nh) != 0 OR sum(r.requests) != 0"
