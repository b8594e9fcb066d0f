"""The tiles of the ingest page: its main figures, as text with units."""

from datetime import timedelta

from dashboard import formats
from dashboard.operator.ingest_findings import SPOOL_BAD
from dashboard.operator.ingest_tables import NONE, oldest
from dashboard.operator.tiles import Tile, compact
from metering.public import IngestHealth


def tiles(health: IngestHealth) -> list[tuple[str, list[Tile]]]:
    """Two rows of them: what became of the events, and what carries them."""
    return [
        ("Events", [*_taken(health), *_sealed(health), _difference(health)]),
        ("Flow", [*_waiting(health), *_servers(health), _watermark(health)]),
    ]


def _taken(health: IngestHealth) -> list[Tile]:
    counts = health.counters.counts if health.counters else None
    accepted = compact(sum(counts.hour.accepted.values())) if counts else (NONE, "")
    rejected = sum(one.last_hour for one in health.store.rejected) if health.store else None
    day = sum(one.last_day for one in health.store.rejected) if health.store else None
    refused = sum(counts.hour.refused.values()) if counts else None
    requests = formats.whole(sum(counts.hour.requests.values())) if counts else NONE
    return [
        Tile("accepted", "Accepted", *accepted, f"events in {requests} requests, last hour"),
        Tile("rejected", "Rejected", formats.whole(rejected), "", f"events, last hour; {formats.whole(day)} in 24 h"),
        Tile("refused", "Refused", formats.whole(refused), "", "whole requests, last hour"),
    ]


def _sealed(health: IngestHealth) -> list[Tile]:
    seals = health.ledger.seals if health.ledger else None
    return [
        Tile(
            name,
            label,
            formats.whole(getattr(seals.day, name)) if seals else NONE,
            "",
            f"sealed in 24 h; {formats.whole(getattr(seals.total, name))} in all" if seals else "",
        )
        for name, label in (("duplicates", "Duplicates"), ("conflicts", "Conflicts"), ("late", "Late"))
    ]


def _watermark(health: IngestHealth) -> Tile:
    watermark = health.ledger.seals.watermark if health.ledger else None
    if watermark is None:
        return Tile("watermark", "Ledger ends", NONE, "", "nothing sealed yet")
    value, unit = _split(health.at - watermark)
    return Tile("watermark", "Ledger ends", value, f"{unit} ago", formats.moment(watermark))


def _waiting(health: IngestHealth) -> list[Tile]:
    found = health.counters.counts.recent.queryable if health.counters else None
    levels = [
        Tile(
            f"queryable-{name}",
            f"To queryable {name}",
            *(_split(timedelta(seconds=seconds)) if seconds is not None else (NONE, "")),
            f"{formats.whole(found.total if found else 0)} events, last 15 min",
        )
        for name, seconds in (
            ("p50", found.quantile(0.5) if found else None),
            ("p99", found.quantile(0.99) if found else None),
        )
    ]
    return [*levels, _spool(health)]


def _spool(health: IngestHealth) -> Tile:
    hosts = health.ledger.hosts if health.ledger else ()
    if not hosts:
        return Tile("spool", "Spool", NONE, "", "no host accepts events yet")
    fullest = max(hosts, key=lambda host: host.fill)
    waiting = f"{formats.size(sum(host.pending_bytes for host in hosts))} wait, oldest {oldest(hosts, health.at)}"
    tone = "bad" if fullest.fill >= SPOOL_BAD else ""
    return Tile("spool", "Spool", f"{fullest.fill * 100:.0f}", "% full", waiting, tone)


def _servers(health: IngestHealth) -> list[Tile]:
    workers = health.counters.workers if health.counters else None
    store = health.store
    parts = sum(table.parts for table in store.tables) if store else None
    return [
        Tile(
            "workers",
            "Workers",
            formats.whole(len(workers)) if workers is not None else NONE,
            "",
            ", ".join(workers or ()),
        ),
        Tile(
            "parts",
            "ClickHouse",
            formats.whole(parts),
            "parts",
            f"{formats.whole(store.merges if store else None)} merges running",
        ),
    ]


def _difference(health: IngestHealth) -> Tile:
    found = health.counters.difference if health.counters else None
    if found is None:
        return Tile("difference", "Live less ledger", NONE, "", "compared once a minute, after a seal")
    return Tile(
        "difference",
        "Live less ledger",
        formats.whole(found.difference.requests),
        "requests",
        f"as of {formats.clock(found.at, health.at)}",
    )


def _split(length: timedelta) -> tuple[str, str]:
    """A span as a value and its unit; short ones keep their milliseconds."""
    if timedelta() < length < timedelta(seconds=1):
        return f"{length.total_seconds() * 1000:.0f}", "ms"
    value, _, unit = formats.span(length).partition(" ")
    return value, unit
