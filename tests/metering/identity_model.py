"""DESIGN rule 4 in plain Python, written from the rule and not from the SQL; and a world in which events arrive at chosen moments."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from metering import ledger
from metering.clickhouse import client
from metering.contracts import SealInfo, UsageRow
from metering.ingest import drain as drain_module
from metering.ingest import hosts
from metering.ingest.spool import Spool
from metering.moments import EPOCH, from_microseconds, microseconds
from metering.usage import current_usage, ledger_differences, raw_usage, sealed_usage
from tests.metering.ingest.batches import NOON, events

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
TENANTS = 3
GROUPS = ("model", "status", "project", "context_band")
MEASURES = (
    "requests", "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
# A key of the ledger: tenant, hour of use (epoch ms), then GROUPS. The measures as MEASURES.
Ledger = dict[tuple[Any, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Sent:
    """An event as a sender means it. `offset_ms` from the world's base; None: the sender gives no time."""

    tenant: int
    source: str
    id: str
    offset_ms: int | None
    content: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Arrival:
    """A sent event as it arrived: when, in which order, and by which kind of key."""

    sent: Sent
    at_ms: int
    batch: str
    row: int
    observed: bool
    base_ms: int

    @property
    def identity(self) -> tuple[int, str, str]:
        return (self.sent.tenant, self.sent.source, self.sent.id)

    @property
    def time_ms(self) -> int:
        return self.at_ms if self.sent.offset_ms is None else self.base_ms + self.sent.offset_ms

    @property
    def meant(self) -> tuple[Any, ...]:
        """What a conflict is about: the billable fields, and the time if the sender gave it."""
        return (self.sent.content, None if self.sent.offset_ms is None else self.time_ms)


@dataclass
class Verdict:
    """What is billed, what is a duplicate, and which of the duplicates say something else than the first."""

    billed: list[Arrival] = field(default_factory=list)
    duplicates: list[Arrival] = field(default_factory=list)
    conflicts: list[Arrival] = field(default_factory=list)


def judged(arrivals: Iterable[Arrival]) -> Verdict:
    """The rule of identity, over arrivals in order: equal identities within 24 hours of use are one event, the first to arrive."""
    verdict = Verdict()
    earlier: defaultdict[tuple[int, str, str], list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        if arrival.observed:
            continue
        near = [each for each in earlier[arrival.identity] if abs(each.time_ms - arrival.time_ms) <= DAY_MS]
        earlier[arrival.identity].append(arrival)
        (verdict.duplicates if near else verdict.billed).append(arrival)
        if near and near[0].meant != arrival.meant:
            verdict.conflicts.append(arrival)
    return verdict


def band_of(input_tokens: int) -> int:
    edges = (32_000, 64_000, 128_000, 200_000, 256_000, 512_000, 1_000_000)
    return next((edge for edge in edges if input_tokens <= edge), 2**32 - 1)


def ledger_of(billed: Iterable[Arrival], tenants: Sequence[str]) -> Ledger:
    sums: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for arrival in billed:
        said = DEFAULTS | dict(arrival.sent.content)
        hour = arrival.time_ms - arrival.time_ms % HOUR_MS
        key = (tenants[arrival.sent.tenant], hour, said["model"], said["status"], said["project"])
        sums[*key, band_of(said["input_tokens"])].update({name: said.get(name, 0) for name in MEASURES[1:]}, requests=1)
    return {key: tuple(found[name] for name in MEASURES) for key, found in sums.items()}


DEFAULTS: dict[str, Any] = {"model": "m", "status": "ok", "project": "", "input_tokens": 10, "output_tokens": 2}


class World:
    """One spool and its ledger. Its clock stands still but for a microsecond per batch, until `pass_time`."""

    def __init__(self, root: Path, name: str = "host-of-properties") -> None:
        self.spool = Spool(root, 2**30)
        self.spool.create()
        self.name = name
        self.tenants = [f"p-{uuid4().hex[:12]}-{index}" for index in range(TENANTS)]
        self.arrivals: list[Arrival] = []
        self.inserted = 0  # of `arrivals`
        self._seal_what_others_left()
        self.duplicates = self.conflicts = 0  # as the seals count them
        self.base_ms = self._whole_millisecond()

    def _seal_what_others_left(self) -> None:
        """An earlier world may have ended in the middle, with a failure: a seal of ours would count its duplicates."""
        if self.spool.in_use:
            drain_module.drain(self.spool)
            self.settle()
            ledger.seal_usage(now=True)

    def _whole_millisecond(self) -> int:
        """Start a millisecond of our own, so that events 24 hours apart to the millisecond are so in every run.

        A day ahead of the machine's clock: a spool's clock never lags behind that, and would move with it.
        """
        ahead = datetime.now(UTC) + timedelta(days=1)
        begin_ms = microseconds(max(self.spool.settled_before(), ahead)) // 1000 + 1
        self._set_clock(begin_ms * 1000)
        return begin_ms

    def _set_clock(self, moment_us: int) -> None:
        (self.spool.root / "clock").write_bytes(b"%016d" % moment_us)

    def pass_time(self, milliseconds: int) -> None:
        recorded = int((self.spool.root / "clock").read_bytes())
        self._set_clock(recorded + milliseconds * 1000)

    def deliver(self, batch: Sequence[Sent], *, observed: bool = False) -> None:
        accepted = self.spool.accept(self._table(batch, observed=observed))
        at_ms = microseconds(accepted.ingested_at) // 1000
        self.arrivals += [
            Arrival(sent, at_ms, accepted.batch, row, observed, self.base_ms) for row, sent in enumerate(batch)
        ]

    def _table(self, batch: Sequence[Sent], *, observed: bool) -> pa.Table:
        given = [
            {"id": sent.id, "source": sent.source, "tenant": "any", "time": _rfc3339(sent.offset_ms)} | DEFAULTS | dict(sent.content)
            for sent in batch
        ]  # fmt: skip
        table = events("any", *given)
        shift = pa.scalar(self.base_ms - microseconds(NOON) // 1000, pa.duration("ms"))
        columns = {
            "tenant": pa.array([self.tenants[sent.tenant] for sent in batch]).dictionary_encode(),
            "time": pc.add(table["time"], shift),
            "observed": pa.repeat(pa.scalar(observed), len(batch)),
        }
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), name, values)
        return table

    def drain(self) -> None:
        drain_module.drain(self.spool)
        self.inserted = len(self.arrivals)

    def settle(self) -> None:
        """Publish what this world has inserted, as the sweeper does for the host's own spool."""
        settled = self.spool.settled_before()
        hosts.IngestHost.objects.update_or_create(
            name=self.name, defaults={"settled_before": settled, "published_at": datetime.now(UTC)}
        )

    def seal(self) -> None:
        self.settle()
        outcome = ledger.seal_usage(now=True)
        self.duplicates += outcome.duplicates
        self.conflicts += outcome.conflicts

    def expected(self, count: int) -> Ledger:
        """By the model, of the first `count` arrivals."""
        return ledger_of(judged(self.arrivals[:count]).billed, self.tenants)

    @property
    def window(self) -> tuple[datetime, datetime]:
        first = min([self.base_ms, *(each.time_ms for each in self.arrivals)])
        last = max([self.base_ms, *(each.time_ms for each in self.arrivals)])
        start = first - first % DAY_MS
        return from_microseconds(start * 1000), from_microseconds((last - last % DAY_MS + DAY_MS) * 1000)

    def in_ledger(self) -> Ledger:
        return self._read(sealed_usage, as_of=latest_seal())

    def in_raw_events(self) -> Ledger:
        return self._read(raw_usage, as_of=latest_seal())

    def current(self) -> Ledger:
        return self._read(current_usage)

    def of_one_tenant(self, number: int) -> Ledger:
        """From raw events, asked as a customer would: for one tenant alone."""
        return self._read(raw_usage, as_of=latest_seal(), tenant=self.tenants[number])

    def _read(self, reader: Any, *, tenant: str | None = None, **options: Any) -> Ledger:
        """What this world's tenants have; others, of earlier worlds, may lie in the same window."""
        rows: list[UsageRow] = reader(*self.window, tenant=tenant, group_by=GROUPS, window="hour", **options)
        found: Ledger = {}
        for row in rows:
            if row.tenant in self.tenants:
                hour = (row.window_start - EPOCH) // timedelta(milliseconds=1)
                key = (row.tenant, hour, *(getattr(row, name) for name in GROUPS))
                found[key] = tuple(getattr(row, name) for name in MEASURES)
        return found

    def ledger_differences(self) -> list[Any]:
        return ledger_differences(*self.window, tenant=None, as_of=latest_seal())

    def listed_conflicts(self) -> set[tuple[str, int]]:
        sql = "SELECT DISTINCT toString(batch), row FROM quarantine WHERE reason = 'conflict' AND tenant IN %(tenants)s"
        return {(batch, row) for batch, row in client.statement("properties", sql, {"tenants": self.tenants})}

    def stored(self) -> list[tuple[str, int]]:
        """Every row that ClickHouse holds, by batch and row, those that it holds twice twice."""
        sql = "SELECT toString(batch), row FROM requests WHERE tenant IN %(tenants)s ORDER BY ingested_at, row"
        return [(batch, row) for batch, row in client.statement("properties", sql, {"tenants": self.tenants})]


def latest_seal() -> SealInfo:
    found = ledger.latest_seal()
    assert found is not None
    return found


def _rfc3339(offset_ms: int | None) -> str | None:
    return None if offset_ms is None else (NOON + timedelta(milliseconds=offset_ms)).isoformat()
