"""The tables of the ingest page: plain cells of text, with units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import formats
from metering.public import HostHealth, IngestHealth

NONE = formats.NOTHING
STATUSES = {
    "400": "malformed",
    "401": "no valid key",
    "403": "not allowed",
    "405": "not by POST",
    "413": "body too large",
    "415": "unknown content type",
    "422": "too many events",
    "429": "no room, or over a rate limit",
    "503": "a part was down",
}


@dataclass(frozen=True)
class Table:
    """`head` and each row have one cell per column, the first being the row's name. `missing` stands there without rows."""

    key: str
    title: str
    note: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    missing: str


def tables(health: IngestHealth) -> list[Table]:
    return [
        _hosts(health),
        _decoders(health),
        _rejected(health),
        _refused(health),
        _comparison(health),
        _seals(health),
        _parts(health),
    ]


def _hosts(health: IngestHealth) -> Table:
    head = (
        "Host",
        "state",
        "heard of",
        "settled up to",
        "waiting",
        "files",
        "oldest",
        "of its limit",
        "kept until sealed",
    )
    hosts = health.ledger.hosts if health.ledger else ()
    note = "what is accepted lies on the host's disk until ClickHouse has it"
    return Table(
        "hosts", "Spools", note, head, [_host(host, health.at) for host in hosts], "No host has accepted an event yet."
    )


def _host(host: HostHealth, now: datetime) -> tuple[str, ...]:
    return (
        host.name,
        "silent" if host.silent else "publishing",
        f"{formats.span(now - host.published_at)} ago",
        formats.moment(host.settled_before),
        formats.size(host.pending_bytes),
        formats.whole(host.pending_files),
        oldest([host], now),
        f"{host.fill * 100:.1f} % of {formats.size(host.spool_max_bytes)}" if host.spool_max_bytes else NONE,
        formats.size(host.kept_bytes),
    )


def _decoders(health: IngestHealth) -> Table:
    head = ("Protocol", "events, last hour", "requests, last hour", "ms a request", "events in all")
    rows = []
    if health.counters is not None:
        hour, total = health.counters.counts.hour, health.counters.counts.total
        for name in sorted(total.requests, key=lambda name: -total.accepted.get(name, 0)):
            requests = hour.requests.get(name, 0)
            mean_ms = hour.seconds.get(name, 0) / requests * 1000 if requests else None
            accepted, ever = hour.accepted.get(name, 0), total.accepted.get(name, 0)
            rows.append(
                (name, formats.whole(accepted), formats.whole(requests), formats.rate(mean_ms), formats.whole(ever))
            )
    return Table(
        "decoders",
        "Accepted, by protocol",
        "counted in Redis",
        head,
        rows,
        "Nothing counted since Redis was last empty.",
    )


def _rejected(health: IngestHealth) -> Table:
    rows = [
        (formats.words(one.reason), formats.whole(one.last_hour), formats.whole(one.last_day))
        for one in (health.store.rejected if health.store else ())
    ]
    head = ("Reason", "last hour", "last 24 h")
    return Table(
        "rejected",
        "Rejected events, by reason",
        "kept in quarantine",
        head,
        rows,
        "No event was rejected in the last 24 hours.",
    )


def _refused(health: IngestHealth) -> Table:
    rows = []
    if health.counters is not None:
        hour, total = health.counters.counts.hour.refused, health.counters.counts.total.refused
        for status, count in sorted(total.items()):
            meaning = f"{status} {STATUSES.get(status, '')}".strip()
            rows.append((meaning, formats.whole(hour.get(status, 0)), formats.whole(count)))
    head = ("Status", "last hour", "in all")
    missing = "No request was refused."
    return Table("refused", "Refused requests, by status", "nothing of them was taken", head, rows, missing)


def _comparison(health: IngestHealth) -> Table:
    found = health.counters.difference if health.counters else None
    rows, note = [], "compared by the task that seals"
    if found is not None:
        sides = (
            ("live rollups", found.live),
            ("less the ledger", found.ledger),
            ("less what arrived since the seal", found.unsealed),
            ("counted too often by live pages", found.difference),
        )
        rows = [(name, formats.whole(amount.requests), formats.whole(amount.tokens)) for name, amount in sides]
        note = f"use from {formats.moment(found.start)} to {formats.moment(found.end)}"
    head = ("Usage", "requests", "tokens")
    return Table("comparison", "Live rollups and ledger", note, head, rows, "Not compared in the last hour.")


def _seals(health: IngestHealth) -> Table:
    head = ("Sealed", "last 24 h", "in all")
    rows = []
    if health.ledger is not None:
        day, total = health.ledger.seals.day, health.ledger.seals.total
        named = {
            "events": "events, each once",
            "duplicates": "duplicates",
            "conflicts": "of them conflicts",
            "late": "late events: adjustments",
        }
        rows = [
            (label, formats.whole(getattr(day, name)), formats.whole(getattr(total, name)))
            for name, label in named.items()
        ]
    return Table("seals", "Ledger", "exact: from the seals", head, rows, "PostgreSQL does not answer.")


def _parts(health: IngestHealth) -> Table:
    rows = [
        (
            one.name,
            formats.whole(one.rows),
            formats.size(one.size_bytes),
            formats.whole(one.parts),
            formats.whole(one.most_parts),
        )
        for one in (health.store.tables if health.store else ())
    ]
    head = ("Table", "rows", "on disk", "parts", "most in a partition")
    return Table(
        "tables",
        "ClickHouse tables",
        "active parts",
        head,
        rows,
        "ClickHouse has no table with rows, or does not answer.",
    )


def oldest(hosts: Iterable[HostHealth], now: datetime) -> str:
    """How long the oldest batch of any of these hosts has waited."""
    stamps = [host.oldest_pending_at for host in hosts if host.oldest_pending_at is not None]
    return formats.span(now - min(stamps)) if stamps else NONE
