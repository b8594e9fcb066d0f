"""What is in quarantine: keys page by page, whole entries by key, counts, and the arrivals that a conflict is between.

An entry is one (batch, row, reason). A seal that is repeated writes its conflicts again, so every query takes each key once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

COUNTED = ("reason", "decoder", "tenant")
# What identifies a row of `requests`, and what a person compares; the first three say which arrival it is.
ARRIVAL = ("ingested_at", "batch", "row")
EVENT = (
    "id",
    "source",
    "time",
    "time_given",
    "tenant",
    "project",
    "api_key_id",
    "end_user",
    "model",
    "operation",
    "tier",
    "status",
    "finish_reason",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "queue_ms",
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
    "region",
    "cluster",
    "node",
    "engine",
    "gpus",
    "stream",
    "attributes",
)


# What the bytes say it is: an event has an id, a sample a node with a GPU (or a part of one) or an engine.
EVENT_ID = """if(decoder = 'telemetry',
                arrayStringConcat(arrayFilter(part -> part != '',
                    arrayMap(name -> JSONExtractString(raw, name), ['node', 'gpu', 'mig', 'engine'])), ' '),
                JSONExtractString(raw, 'id'))"""


@dataclass(frozen=True)
class Key:
    """One entry: its arrival in epoch microseconds, and its name. In the order of the table."""

    at_us: int
    batch: str
    row: int
    reason: str


@dataclass(frozen=True)
class Subset:
    """Which entries; '' and None: all. `senders`: only what came by one of these keys ('' is what we wrote ourselves)."""

    reason: str = ""
    tenant: str = ""
    decoder: str = ""
    api_key: str = ""
    text: str = ""
    start_us: int | None = None
    end_us: int | None = None
    senders: tuple[str, ...] | None = None

    def where(self) -> str:
        named = [f"{name} = %({name})s" for name in ("reason", "tenant", "decoder", "api_key") if getattr(self, name)]
        if self.start_us is not None:
            named.append("ingested_at >= fromUnixTimestamp64Micro(%(start_us)s, 'UTC')")
        if self.end_us is not None:
            named.append("ingested_at < fromUnixTimestamp64Micro(%(end_us)s, 'UTC')")
        if self.senders is not None:
            named.append("api_key IN %(senders)s")
        if self.text:  # an event's id stands in its bytes
            named.append(
                "(positionCaseInsensitive(message, %(text)s) > 0 OR positionCaseInsensitive(raw, %(text)s) > 0)"
            )
        return " AND ".join(named) or "1"

    def parameters(self) -> dict[str, Any]:
        given = {
            name: getattr(self, name)
            for name in ("reason", "tenant", "decoder", "api_key", "text", "start_us", "end_us")
            if getattr(self, name) not in {"", None}
        }
        return given | ({"senders": list(self.senders)} if self.senders is not None else {})


@dataclass(frozen=True)
class Keys:
    """The keys after `after`, in order: at_us, batch, row, reason, decoder, tenant.

    The bound on the arrival alone says the same as the tuple does, and lets the primary key skip what was read before.
    """

    name: ClassVar[str] = "quarantine_keys"
    subset: Subset
    limit: int
    after: Key | None = None
    oldest_first: bool = False

    def sql(self) -> tuple[str, dict[str, Any]]:
        way, beyond = ("ASC", ">") if self.oldest_first else ("DESC", "<")
        place = "fromUnixTimestamp64Micro(%(after_us)s, 'UTC')"
        after = (
            f"AND ingested_at {beyond}= {place} AND (ingested_at, batch, row, reason) {beyond} "
            f"({place}, toUUID(%(after_batch)s), %(after_row)s, %(after_reason)s)"
        )
        text = f"""
            SELECT toUnixTimestamp64Micro(ingested_at) AS at_us, toString(batch) AS batch_text, row, reason, decoder, tenant
            FROM quarantine
            WHERE {self.subset.where()} {after if self.after else ""}
            ORDER BY ingested_at {way}, batch {way}, row {way}, reason {way}
            LIMIT 1 BY ingested_at, batch, row, reason
            LIMIT %(limit)s
        """
        return text, self.subset.parameters() | {"limit": self.limit} | self._place()

    def _place(self) -> dict[str, Any]:
        if self.after is None:
            return {}
        key = self.after
        return {"after_us": key.at_us, "after_batch": key.batch, "after_row": key.row, "after_reason": key.reason}


@dataclass(frozen=True)
class Entries:
    """Whole entries of (at least) these keys. `raw` is base64: it may be no text at all. '' if it is not asked for."""

    name: ClassVar[str] = "quarantine_entries"
    keys: Sequence[Key]
    subset: Subset
    with_raw: bool = True

    def sql(self) -> tuple[str, dict[str, Any]]:
        bounds = {"first_us": min(key.at_us for key in self.keys), "last_us": max(key.at_us for key in self.keys)}
        lists = {
            "batches": sorted({key.batch for key in self.keys}),
            "rows": sorted({key.row for key in self.keys}),
            "reasons": sorted({key.reason for key in self.keys}),
        }
        condition = """
            ingested_at >= fromUnixTimestamp64Micro(%(first_us)s, 'UTC')
            AND ingested_at <= fromUnixTimestamp64Micro(%(last_us)s, 'UTC')
            AND batch IN %(batches)s AND row IN %(rows)s AND reason IN %(reasons)s
        """
        text = _entries(f"{condition} AND {self.subset.where()}", with_raw=self.with_raw)
        return text, self.subset.parameters() | bounds | lists


@dataclass(frozen=True)
class Entry:
    """One whole entry by its name."""

    name: ClassVar[str] = "quarantine_entry"
    batch: str
    row: int
    reason: str
    subset: Subset

    def sql(self) -> tuple[str, dict[str, Any]]:
        condition = "batch = toUUID(%(one_batch)s) AND row = %(one_row)s AND reason = %(one_reason)s"
        text = _entries(f"{condition} AND {self.subset.where()}", with_raw=True)
        named = {"one_batch": self.batch, "one_row": self.row, "one_reason": self.reason}
        return text, self.subset.parameters() | named


def _entries(condition: str, *, with_raw: bool) -> str:
    return f"""
        SELECT toUnixTimestamp64Micro(ingested_at) AS at_us, toString(batch) AS batch_text, row, reason,
            tenant, api_key, decoder, toValidUTF8(field) AS field_text, toValidUTF8(message) AS message_text,
            length(raw) AS size_bytes, substringUTF8(toValidUTF8({EVENT_ID}), 1, 128) AS event_id,
            {"base64Encode(raw)" if with_raw else "''"} AS raw_base64
        FROM quarantine
        WHERE {condition}
        LIMIT 1 BY ingested_at, batch, row, reason
    """


@dataclass(frozen=True)
class Counts:
    """How many entries by one column, the most frequent first: value, count.

    Only a conflict can be there twice, so only conflicts are counted by key: a set of all keys would not fit for ever.
    """

    name: ClassVar[str] = "quarantine_counts"
    column: str
    subset: Subset
    limit: int = 1000

    def sql(self) -> tuple[str, dict[str, Any]]:
        if self.column not in COUNTED:
            raise ValueError(f"unknown column {self.column!r}: one of {', '.join(COUNTED)}")
        text = f"""
            SELECT {self.column} AS value,
                countIf(reason != 'conflict') + uniqExactIf((batch, row), reason = 'conflict') AS entries
            FROM quarantine WHERE {self.subset.where()}
            GROUP BY value ORDER BY entries DESC, value LIMIT %(limit)s
        """
        return text, self.subset.parameters() | {"limit": self.limit}


@dataclass(frozen=True)
class Arrivals:
    """Two arrivals of one identity, named by batch and row, with their time in `[from_ms, until_ms]`: ARRIVAL, then EVENT.

    Moments are whole numbers: `ingested_at` in microseconds, `time` in milliseconds. Tenant and time are the sort key's.
    """

    name: ClassVar[str] = "quarantine_arrivals"
    tenant: str
    source: str
    identity: str
    from_ms: int
    until_ms: int
    pairs: tuple[tuple[str, int], tuple[str, int]]

    def sql(self) -> tuple[str, dict[str, Any]]:
        special = {
            "ingested_at": "toUnixTimestamp64Micro(r.ingested_at)",
            "time": "toUnixTimestamp64Milli(r.time)",
            "batch": "toString(r.batch)",
        }
        columns = ", ".join(f"{special.get(name, 'r.' + name)} AS e_{name}" for name in (*ARRIVAL, *EVENT))
        text = f"""
            SELECT {columns} FROM requests AS r
            WHERE tenant = %(tenant)s AND time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')
                AND time <= fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')
                AND id = %(identity)s AND source = %(source)s
                AND (batch = toUUID(%(first_batch)s) AND row = %(first_row)s
                    OR batch = toUUID(%(other_batch)s) AND row = %(other_row)s)
            LIMIT 2
        """
        (first_batch, first_row), (other_batch, other_row) = self.pairs
        return text, {
            "tenant": self.tenant,
            "source": self.source,
            "identity": self.identity,
            "from_ms": self.from_ms,
            "until_ms": self.until_ms,
            "first_batch": first_batch,
            "first_row": first_row,
            "other_batch": other_batch,
            "other_row": other_row,
        }
