"""Rules, requests and states for tests of alerts."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from django.apps import apps

from metering.clickhouse import client
from metering.models import AlertChannel, AlertEvent, AlertRule, AlertSilence, AlertState
from tests.metering.rows import empty_tables, insert_requests

NOW = datetime(2026, 3, 10, 12, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TABLES = (
    "requests",
    "requests_minute",
    "requests_hour",
    "cuts_minute",
    "cuts_hour",
    "service_minute",
    "service_hour",
    "service_day",
    "gpu_minute",
    "engine_minute",
)


def empty() -> None:
    AlertRule.objects.all().delete()
    there = {str(row[0]) for row in client.statement("test_tables", "SHOW TABLES")}
    empty_tables(*there.intersection(TABLES))


def ship() -> None:
    """The rules that a new installation has."""
    for name in ("0006_alerts", "0009_alert_values"):
        import_module(f"metering.migrations.{name}").ship(apps, None)


def rule(**fields: Any) -> AlertRule:
    given = {"name": "slow", "measure": "ttft_p95_ms", "threshold": 500.0, "for_minutes": 2, "group_by": "model"}
    return AlertRule.objects.create(**(given | fields))


def channel_of(made: AlertRule, name: str = "mail", **fields: Any) -> AlertChannel:
    given = {"name": name, "kind": "email", "target": "a@example.org"}
    channel = AlertChannel.objects.create(**(given | fields))
    made.channels.add(channel)
    return channel


def requests(minute: datetime, model: str, ttft_ms: float = 100.0, count: int = 5, **fields: Any) -> None:
    rows = (
        {"id": f"{minute}-{model}-{n}", "time": minute, "ingested_at": minute, "model": model, "ttft_ms": ttft_ms}
        | fields
        for n in range(count)
    )
    insert_requests("t", *rows)


def silence(of: AlertRule | None, start: datetime, end: datetime, matching: str = "") -> AlertSilence:
    return AlertSilence.objects.create(
        rule=of, matching=matching, starts_at=start, ends_at=end, reason="known", made_by="ada"
    )


def states() -> list[tuple[str, str]]:
    return [(state.group, state.state) for state in AlertState.objects.order_by("group")]


def events() -> list[tuple[str, str]]:
    return [(event.kind, event.group) for event in AlertEvent.objects.order_by("pk")]
