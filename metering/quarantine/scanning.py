"""Keys of entries in a state, in the order of their arrival, page by page.

ClickHouse knows the entries and PostgreSQL the decisions. So open entries are read from ClickHouse in chunks, less those
that PostgreSQL knows, and decided ones from PostgreSQL, less those that ClickHouse says do not match.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from metering.clickhouse import client
from metering.clickhouse.queries.quarantine import Entries, Key, Keys
from metering.models import QuarantineDecision
from metering.moments import from_microseconds, microseconds
from metering.quarantine.filters import EntryFilter, State

FIRST_CHUNK = 500
LARGEST_CHUNK = 50_000
SEARCHED_CHUNK = 1_000  # keys that are named in a statement
MOST_SCANNED = 1_000_000


@dataclass(frozen=True)
class Found:
    """A key, with what entries are counted by."""

    key: Key
    reason: str
    decoder: str
    tenant: str


@dataclass(frozen=True)
class Scan:
    """Entries in order. `next`: where to go on, None at the end. A scan may stop early, and hold less than was asked for."""

    found: list[Found]
    next: Key | None

    @property
    def keys(self) -> list[Key]:
        return [one.key for one in self.found]


def scan(asked: EntryFilter, limit: int, after: Key | None = None, *, oldest_first: bool = False) -> Scan:
    """At most `limit` entries that match, after a position."""
    found: list[Found] = []
    scanned, size = 0, max(FIRST_CHUNK, limit + 1)
    while scanned < MOST_SCANNED:
        size = min(size, LARGEST_CHUNK)
        chunk, kept = _chunk(asked, size, after, oldest_first=oldest_first)
        found += kept
        if len(found) > limit:
            return Scan(found[:limit], found[limit - 1].key)
        if len(chunk) < size:
            return Scan(found, None)
        after, scanned, size = chunk[-1].key, scanned + len(chunk), size * 4
    return Scan(found, after)


def _chunk(
    asked: EntryFilter, size: int, after: Key | None, *, oldest_first: bool
) -> tuple[Sequence[Found], list[Found]]:
    """The next `size` candidates, and those of them that match."""
    if asked.state in {State.REPLAYED, State.DISCARDED}:
        chunk = _decided_chunk(asked, size, after, oldest_first=oldest_first)
        return chunk, _matching_text(asked, chunk)
    rows = client.run(Keys(asked.subset(), size, after, oldest_first)).rows
    chunk = [
        Found(Key(at_us, batch, row, reason), reason, decoder, tenant)
        for at_us, batch, row, reason, decoder, tenant in rows
    ]
    return chunk, list(chunk) if asked.state == State.ALL else _undecided(asked, chunk)


def _undecided(asked: EntryFilter, chunk: Sequence[Found]) -> list[Found]:
    if not chunk:
        return []
    arrivals = [one.key.at_us for one in chunk]
    decided = {
        (str(batch), row, reason)
        for batch, row, reason in decisions(asked)
        .filter(ingested_at__range=(from_microseconds(min(arrivals)), from_microseconds(max(arrivals))))
        .values_list("batch", "row", "reason")
    }
    return [one for one in chunk if (one.key.batch, one.key.row, one.key.reason) not in decided]


def _decided_chunk(asked: EntryFilter, size: int, after: Key | None, *, oldest_first: bool) -> list[Found]:
    rows = decisions(asked).filter(action=asked.state)
    if after is not None:
        rows = rows.filter(_beyond(after, "gt" if oldest_first else "lt"))
    sign = "" if oldest_first else "-"
    columns = ("ingested_at", "batch", "row", "reason")
    values = rows.order_by(*(sign + name for name in columns)).values_list(*columns, "decoder", "tenant")[:size]
    return [
        Found(Key(microseconds(at), str(batch), row, reason), reason, decoder, tenant)
        for at, batch, row, reason, decoder, tenant in values
    ]


def _beyond(key: Key, way: str) -> Q:
    """(ingested_at, batch, row, reason) after the key's, as PostgreSQL orders them."""
    same, beyond = Q(), Q()
    values = {
        "ingested_at": from_microseconds(key.at_us),
        "batch": key.batch,
        "row": key.row,
        "reason": key.reason,
    }
    for name, value in values.items():
        beyond |= same & Q(**{f"{name}__{way}": value})
        same &= Q(**{name: value})
    return beyond


def _matching_text(asked: EntryFilter, chunk: Sequence[Found]) -> list[Found]:
    """The bytes are in ClickHouse alone: whoever searches in them asks there."""
    if not asked.text:
        return list(chunk)
    held: set[tuple[str, int, str]] = set()
    for start in range(0, len(chunk), SEARCHED_CHUNK):
        keys = [one.key for one in chunk[start : start + SEARCHED_CHUNK]]
        rows = client.run(Entries(keys, asked.subset(), with_raw=False)).rows
        held |= {(batch, row, reason) for _, batch, row, reason, *_ in rows}
    return [one for one in chunk if (one.key.batch, one.key.row, one.key.reason) in held]


def decisions(asked: EntryFilter) -> QuerySet[QuarantineDecision]:
    """Decisions about entries that match in all but text and state."""
    rows = QuarantineDecision.objects.all()
    for name in ("reason", "tenant", "decoder", "api_key"):
        if value := getattr(asked, name):
            rows = rows.filter(**{name: value})
    if asked.senders is not None:
        rows = rows.filter(api_key__in=asked.senders)
    if asked.start is not None:
        rows = rows.filter(ingested_at__gte=asked.start)
    return rows if asked.end is None else rows.filter(ingested_at__lt=asked.end)
