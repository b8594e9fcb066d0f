"""Rows of `energy_windows`, put there directly, and how far they are settled."""

from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.models import TelemetryProgress
from tests.metering.rows import empty_tables

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Row = dict[str, Any]


def recent_hour(ago: int = 0) -> datetime:
    """The start of the latest whole hour that has ended, or of one some hours `ago`: times near now, since rows have a time to live."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - (ago + 1) * HOUR


def hour_of(node: str, start: datetime, *, minutes: int = 60, **columns: Any) -> list[Row]:
    """The first `minutes` windows of the hour. Floats are those of 60 minutes together, spread evenly over them."""
    values = {name: value / 60 if isinstance(value, float) else value for name, value in columns.items()}
    return [window(node, start + n * MINUTE, **values) for n in range(minutes)]


def window(node: str, at: datetime, **columns: Any) -> Row:
    usual = {"engine": "e1", "region": "eu", "cluster": "", "model": "m", "simulated": False, "version": 1}
    return usual | {"node": node, "window_start": at} | columns


def insert(*hours: list[Row]) -> None:
    """What a row does not name is the column's default. Hours that other tests had added up are read from their minutes again."""
    empty_tables("reconciliation_hours")
    for rows in hours:
        names = sorted({name for row in rows for name in row})
        client.insert("test_windows", "energy_windows", names, [[row[name] for row in rows] for name in names])


def settle(until: datetime, *waiting: tuple[datetime, datetime]) -> None:
    """Minutes before `until` are closed; those of `waiting` are still to be worked up."""
    due = [[moments.seconds(start), moments.seconds(end)] for start, end in waiting]
    fields = {"watermark": until, "closed_until": until, "due": due}
    TelemetryProgress.objects.update_or_create(name="energy", defaults=fields)
