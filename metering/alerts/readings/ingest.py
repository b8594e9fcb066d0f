"""Measures of the intake, and of Tallywatt itself."""

from datetime import datetime, timedelta

from django.conf import settings

from metering.alerts.readings.asked import ALL, HOUR, Asked, NotRead, Values
from metering.ingest import counters
from metering.ingest.counters import Tally
from metering.ingest_health import PARTS, ingest_health
from metering.live import ARRIVALS_WATCHED, newest_arrival, newest_hour
from metering.models import AlertRule, IngestHost, Seal
from metering.redis_link import TROUBLE


def event_age_s(now: datetime, asked: Asked) -> Values:
    """Since the newest event was accepted; older than a quarter of an hour, by the hour of its use. None if there has never been one."""
    newest = newest_arrival(now)
    if newest is not None:
        return {ALL: max(0.0, (now - newest).total_seconds())}
    hour = newest_hour()
    return {ALL: None if hour is None else max(ARRIVALS_WATCHED, now - hour - HOUR).total_seconds()}


def freshness_s(now: datetime, asked: Asked) -> Values:
    """From receipt to queryable, 95th percentile over a quarter of an hour."""
    return {ALL: _recent().queryable.quantile(0.95)}


def rejected_share(now: datetime, asked: Asked) -> Values:
    """Of the events of the last quarter of an hour."""
    found = _recent()
    rejected, accepted = sum(found.rejected.values()), sum(found.accepted.values())
    return {ALL: rejected / (rejected + accepted) if rejected + accepted else None}


def _recent() -> Tally:
    try:
        return counters.snapshot().recent
    except TROUBLE as error:
        raise NotRead(f"Redis does not answer: {error}") from error


def spool_bytes(now: datetime, asked: Asked) -> Values:
    """As hosts published it last."""
    hosts = _hosts()
    if asked.group:
        return {host.name: float(host.pending_bytes) for host in hosts}
    return {ALL: float(sum(host.pending_bytes for host in hosts))}


def spool_fill(now: datetime, asked: Asked) -> Values:
    """Of all hosts together, the fullest."""
    full = {host.name: _fill(host) for host in _hosts()}
    if asked.group:
        return dict(full)
    return {ALL: max(full.values(), default=None)}


def _fill(host: IngestHost) -> float:
    return host.pending_bytes / host.spool_max_bytes if host.spool_max_bytes else 0.0


def hosts_silent(now: datetime, asked: Asked) -> Values:
    silent = {host.name: float(host.published_at < now - settings.HOST_SILENT_AFTER) for host in _hosts()}
    if asked.group:
        return dict(silent)
    return {ALL: sum(silent.values())}


def _hosts() -> list[IngestHost]:
    return list(IngestHost.objects.filter(retired_at=None))


def seal_age_s(now: datetime, asked: Asked) -> Values:
    """Since the moment before which everything accepted is in the ledger; None before the first seal."""
    latest = Seal.objects.filter(state=Seal.State.COMPLETED).order_by("-id").first()
    return {ALL: None if latest is None else max((now - latest.watermark) / timedelta(seconds=1), 0.0)}


def servers_down(now: datetime, asked: Asked) -> Values:
    """Of PostgreSQL, Redis and ClickHouse."""
    down = ingest_health().down
    return {part: float(part in down) for part in PARTS} if asked.group else {ALL: float(len(down))}


def rules_unread(now: datetime, asked: Asked) -> Values:
    """Enabled alert rules that could not be read when they were last looked at; those on this measure left out."""
    unread = AlertRule.objects.filter(enabled=True).exclude(trouble="").exclude(measure="rules_unread")
    return {ALL: float(unread.count())}
