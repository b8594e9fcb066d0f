"""What is wrong with ingest, in words, the worst first. Pure: from one reading to sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard import formats
from metering.public import HostHealth, IngestHealth, SealHealth, StoreHealth

BAD, WARN = "bad", "warn"
SPOOL_WARN, SPOOL_BAD = 0.7, 0.9
WAITS_TOO_LONG = timedelta(seconds=30)
SEAL_IS_OLD = timedelta(minutes=30)  # a quarter of an hour, what was accepted in it, and some patience
QUERYABLE_P99_S = 2.0
PARTS_WARN, PARTS_BAD = 300, 1000
DOWN = {
    "postgresql": ("PostgreSQL does not answer.", "Nothing can be accepted until it does: keys cannot be checked."),
    "redis": (
        "Redis does not answer.",
        "Events are accepted and wait in the spool until the workers are reached again.",
    ),
    "clickhouse": ("ClickHouse does not answer.", "Events are accepted and wait in the spool; nothing is lost."),
}


@dataclass(frozen=True)
class Finding:
    """`tone` is bad or warn; `advice` says what follows from it or what to do. `quarantine`: the page to look at is that one."""

    tone: str
    text: str
    advice: str = ""
    quarantine: bool = False


def findings(health: IngestHealth) -> list[Finding]:
    found = [Finding(BAD, *DOWN[part]) for part in health.down]
    if health.ledger is not None:
        for host in health.ledger.hosts:
            found += _host(host, health.at)
        found += _seals(health.ledger.seals, health.at)
    found += _counters(health)
    if health.store is not None:
        found += _store(health.store)
    return sorted(found, key=lambda one: one.tone != BAD)


def _host(host: HostHealth, now: datetime) -> Iterator[Finding]:
    if host.silent:
        text = f"Host {host.name} has been silent for {formats.span(now - host.published_at)} and holds the seal."
        yield Finding(BAD, text, f"Start it again; if its disk is lost for good: manage.py retire_host {host.name}")
    if host.fill >= SPOOL_WARN:
        tone = BAD if host.fill >= SPOOL_BAD else WARN
        text = f"The spool of host {host.name} is {host.fill * 100:.0f} % full."
        yield Finding(tone, text, "Past its limit new batches are answered 429 until something is inserted.")
    waited = now - host.oldest_pending_at if host.oldest_pending_at and not host.silent else timedelta()
    if waited > WAITS_TOO_LONG:
        text = f"On host {host.name} a batch has been waiting for {formats.span(waited)}."
        yield Finding(BAD, text, "The worker's log says why it is not inserted.")


def _seals(seals: SealHealth, now: datetime) -> Iterator[Finding]:
    if seals.watermark is not None and now - seals.watermark > SEAL_IS_OLD:
        text = f"The ledger ends {formats.span(now - seals.watermark)} ago, at {formats.clock(seals.watermark, now)}."
        yield Finding(
            WARN, text, "Live figures go on; invoices wait. A silent host or a stopped worker is the usual reason."
        )
    if seals.day.conflicts:
        text = f"Arrived again with other content in the last 24 h: {formats.counted(seals.day.conflicts, 'event')}."
        yield Finding(WARN, text, "The first arrival is billed; the others are listed as conflicts.", quarantine=True)


def _counters(health: IngestHealth) -> Iterator[Finding]:
    if health.counters is None:
        return
    used = health.ledger is not None and bool(health.ledger.hosts)
    if used and not health.counters.workers:
        yield Finding(
            BAD, "No worker has been heard of for half a minute.", "Nothing is inserted or sealed without one."
        )
    refused = health.counters.counts.hour.refused
    for status, meaning in (("429", "for want of room or over a rate limit"), ("503", "because a part was down")):
        if count := refused.get(status, 0):
            text = f"Refused {meaning} ({status}) in the last hour: {formats.counted(count, 'request')}."
            yield Finding(WARN, text, "Senders try again; a sender that does not loses its events.")
    p99 = health.counters.counts.recent.queryable.quantile(0.99)
    if p99 is not None and p99 > QUERYABLE_P99_S:
        text = f"One event in a hundred takes more than {formats.span(timedelta(seconds=p99))} until queries see it."
        yield Finding(WARN, text, f"In the last 15 minutes; the aim is {QUERYABLE_P99_S:g} s.")
    yield from _difference(health)


def _difference(health: IngestHealth) -> Iterator[Finding]:
    found = health.counters.difference if health.counters else None
    if found is None or not found.difference.requests:
        return
    count = found.difference.requests
    expected = health.ledger.seals.uncorrected if health.ledger else 0
    if count > 0 and expected:
        text = f"Live pages count {formats.counted(count, 'request')} twice that the ledger counts once."
        yield Finding(WARN, text, "The task that seals takes them out again within a minute or two.")
    elif count > 0:
        text = f"Live pages count {formats.counted(count, 'request')} more than the ledger."
        yield Finding(WARN, text, "Invoices are right: they read the ledger alone. Please report it.")
    else:
        text = f"Live pages count {formats.counted(-count, 'request')} fewer than the ledger."
        yield Finding(WARN, text, "Invoices are right: they read the ledger alone. Please report it.")


def _store(store: StoreHealth) -> Iterator[Finding]:
    rejected = sum(one.last_hour for one in store.rejected)
    if rejected:
        worst = max(store.rejected, key=lambda one: one.last_hour)
        share = f"{formats.whole(worst.last_hour)} of them as {formats.words(worst.reason)}"
        text = f"Rejected in the last hour: {formats.counted(rejected, 'event')}, {share}."
        yield Finding(WARN, text, "They are kept in quarantine, with their bytes and the reason.", quarantine=True)
    for table in store.tables:
        if table.most_parts >= PARTS_WARN:
            tone = BAD if table.most_parts >= PARTS_BAD else WARN
            text = f"Table {table.name} has {formats.whole(table.most_parts)} parts in one partition."
            yield Finding(
                tone,
                text,
                "Merges do not keep up; from 1,000 parts ClickHouse slows inserts down, from 3,000 it refuses them.",
            )
