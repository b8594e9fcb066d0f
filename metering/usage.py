"""Usage: from the ledger as of a seal, with the unsealed rest where freshness matters, or recomputed from raw events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from metering.clickhouse import client
from metering.clickhouse.queries.usage import WINDOWS, LedgerDifferences, RawUsage, Scope, SealedUsage
from metering.contracts import BUCKET_MINUTES, DIMENSIONS, MEASURES, SealInfo, UsageRow
from metering.ledger import abandoned_up_to, arrivals_scope, bucket_end, bucket_start, latest_seal
from metering.moments import EPOCH, milliseconds, seconds
from metering.windows import Edges, Windows

MAX_ROWS = 500_000
AUDIT_TIMEOUT_S = 600
LONGEST = timedelta(days=366 * 15)
FAR_FUTURE = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LedgerDifference:
    """One measure of one ledger bucket that a recomputation from raw events does not confirm."""

    bucket: datetime
    tenant: str
    dimensions: dict[str, str | int]
    measure: str
    ledger: int
    raw: int


@dataclass(frozen=True)
class _Ask:
    """One question, checked: which time of use, whose, grouped how."""

    start: datetime
    end: datetime
    tenant: str | None
    groups: tuple[str, ...]
    window: str | Windows
    among: tuple[str, ...] = ()

    @staticmethod
    def within(start: datetime, end: datetime) -> tuple[int, int]:
        return milliseconds(start), milliseconds(end)

    def raw(self, spans: tuple[tuple[int, int], ...], arrived: tuple[datetime | None, datetime | None]) -> RawUsage:
        return RawUsage(Scope(spans, self.tenant, *arrived, tenants=self.among), self.window, self.groups)


def sealed_usage(
    start: datetime,
    end: datetime,
    *,
    tenant: str | None,
    group_by: Sequence[str],
    window: str | Windows,
    as_of: SealInfo,
    tenants: Sequence[str] = (),
) -> list[UsageRow]:
    """The ledger's answer: what money reads. `start` and `end` must lie on 15-minute edges (ValueError).

    `tenants`: only these, of a question about all (at most a few hundred: they stand in the statement).
    """
    ask = _checked(start, end, tenant, group_by, window)
    if bucket_start(start) != start or bucket_start(end) != end:
        raise ValueError("the ledger's windows begin and end on a quarter of an hour")
    return _sealed(ask, as_of, start, end, tuple(tenants))


def raw_usage(
    start: datetime,
    end: datetime,
    *,
    tenant: str | None,
    group_by: Sequence[str],
    window: str | Windows,
    as_of: SealInfo,
) -> list[UsageRow]:
    """The same figures recomputed from raw events that arrived before the seal's watermark, each event once."""
    ask = _checked(start, end, tenant, group_by, window)
    query = ask.raw((ask.within(start, end),), (None, as_of.watermark))
    return _rows(ask, client.run(query, timeout_s=AUDIT_TIMEOUT_S, max_rows=MAX_ROWS))


def current_usage(
    start: datetime,
    end: datetime,
    *,
    tenant: str | None,
    group_by: Sequence[str],
    window: str | Windows,
    as_of: SealInfo | None = None,
    tenants: Sequence[str] = (),
) -> list[UsageRow]:
    """Everything accepted and inserted so far: the ledger, plus what is not sealed yet, each event once. Any bounds.

    `window`: one of WINDOWS, or windows whose edges lie on those of the ledger's buckets (ValueError).
    `as_of`: the seal to stand on (default: the latest). The part after it is read from raw events. `tenants`: as of sealed_usage.
    """
    ask = replace(_checked(start, end, tenant, group_by, window), among=tuple(tenants))
    seal = as_of or latest_seal()
    rows = _sealed_any_bounds(ask, seal) if seal is not None else []
    return _added(ask, rows + _unsealed(ask, seal.watermark if seal else EPOCH))


def pieces(edges: Sequence[datetime]) -> Windows:
    """A `window` for the functions above: from each of `edges` to the next, all on quarters of an hour."""
    return Edges(tuple(seconds(edge) for edge in edges))


def ledger_differences(
    start: datetime, end: datetime, *, tenant: str | None, as_of: SealInfo
) -> list[LedgerDifference]:
    """Every bucket and combination of dimensions in which the ledger and the raw events disagree."""
    scope = Scope(((milliseconds(start), milliseconds(end)),), tenant, None, as_of.watermark)
    query = LedgerDifferences(scope, start, end, as_of.id, abandoned_up_to(as_of.id))
    found = []
    for row in client.run(query, timeout_s=AUDIT_TIMEOUT_S, max_rows=MAX_ROWS).dicts():
        bucket = datetime.fromtimestamp(row["bucket_s"], UTC)
        dimensions = {name: row[name] for name in DIMENSIONS}
        for measure in MEASURES:
            ledger, raw = row[f"ledger_{measure}"], row[f"raw_{measure}"]
            if ledger != raw:
                found.append(LedgerDifference(bucket, row["tenant"], dimensions, measure, ledger, raw))
    return found


def _sealed_any_bounds(ask: _Ask, seal: SealInfo) -> list[UsageRow]:
    """Whole buckets from the ledger; a part of a bucket at either end from the raw events of the same seal."""
    inner_start, inner_end = bucket_end(ask.start), bucket_start(ask.end)
    arrived = (None, seal.watermark)
    if inner_start >= inner_end:
        return _rows(ask, client.run(ask.raw((ask.within(ask.start, ask.end),), arrived), max_rows=MAX_ROWS))
    rows = _sealed(ask, seal, inner_start, inner_end, ask.among)
    edges = tuple(ask.within(a, b) for a, b in ((ask.start, inner_start), (inner_end, ask.end)) if a < b)
    if edges:
        rows += _rows(ask, client.run(ask.raw(edges, arrived), max_rows=MAX_ROWS))
    return rows


def _unsealed(ask: _Ask, watermark: datetime) -> list[UsageRow]:
    arrived, count = arrivals_scope(watermark, FAR_FUTURE, ask.tenant)
    first, last = ask.within(ask.start, ask.end)
    spans = tuple((max(a, first), min(b, last)) for a, b in arrived.spans if a < last and b > first)
    if not count or not spans:
        return []
    return _rows(ask, client.run(ask.raw(spans, (watermark, None)), max_rows=MAX_ROWS))


def _sealed(ask: _Ask, seal: SealInfo, start: datetime, end: datetime, tenants: tuple[str, ...] = ()) -> list[UsageRow]:
    abandoned = abandoned_up_to(seal.id)
    query = SealedUsage(start, end, ask.window, ask.groups, ask.tenant, seal.id, abandoned, tenants)
    return _rows(ask, client.run(query, max_rows=MAX_ROWS))


def _rows(ask: _Ask, result: client.Result) -> list[UsageRow]:
    """Columns: tenant, window start in epoch seconds, the groups, the measures."""
    found = []
    for row in result.rows:
        at = ask.start if ask.window == "total" else datetime.fromtimestamp(row[1], UTC)
        values: dict[str, Any] = dict(zip((*ask.groups, *MEASURES), row[2:], strict=True))
        found.append(UsageRow(tenant=row[0], window_start=at, **values))
    return found


def _added(ask: _Ask, rows: Iterable[UsageRow]) -> list[UsageRow]:
    """One row per tenant, window and groups, the measures summed; ordered by window, tenant, groups."""
    totals: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        key = (row.window_start, row.tenant, *(getattr(row, name) for name in ask.groups))
        held = totals.setdefault(key, [0] * len(MEASURES))
        for position, measure in enumerate(MEASURES):
            held[position] += getattr(row, measure)
    found = []
    for key, sums in sorted(totals.items()):
        values: dict[str, Any] = dict(zip((*ask.groups, *MEASURES), (*key[2:], *sums), strict=True))
        found.append(UsageRow(tenant=key[1], window_start=key[0], **values))
    return found


def _checked(
    start: datetime, end: datetime, tenant: str | None, group_by: Sequence[str], window: str | Windows
) -> _Ask:
    """Raises ValueError with a message for the caller of an API."""
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("times need a time zone")
    if start >= end:
        raise ValueError("the window is empty: its start must lie before its end")
    if end - start > LONGEST:
        raise ValueError("the window is longer than 15 years")
    if not isinstance(window, str):
        if not window.fits(BUCKET_MINUTES * 60):
            raise ValueError("the ledger's windows begin and end on a quarter of an hour")
    elif window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
    for name in group_by:
        if name not in DIMENSIONS:
            raise ValueError(f"unknown group {name!r}: one of {', '.join(DIMENSIONS)}")
    return _Ask(start, end, tenant, tuple(dict.fromkeys(group_by)), window)
