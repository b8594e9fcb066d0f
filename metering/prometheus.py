"""Ingest health as Prometheus metrics. What cannot be read is absent, and `tallywatt_up` says which part does not answer.

Counters out of Redis begin anew when it is wiped, which `rate()` and `increase()` expect; those out of PostgreSQL never do.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from metering.contracts import RejectReason
from metering.ingest.counters import EDGES_S, Histogram, Tally
from metering.ingest_health import (
    PARTS,
    CountersHealth,
    HostHealth,
    IngestHealth,
    LedgerHealth,
    SealHealth,
    StoreHealth,
)

Labelled = Mapping[str, float]


class HealthCollector(Collector):
    """One reading, as metric families."""

    def __init__(self, health: IngestHealth) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        health = self._health
        up = {part: float(part not in health.down) for part in PARTS}
        yield _gauge("tallywatt_up", "1 if this part answered, 0 if its figures are absent.", up, "part")
        if health.ledger is not None:
            yield from _ledger(health.ledger, health.at)
        if health.counters is not None:
            yield from _counters(health.counters)
        if health.store is not None:
            yield from _store(health.store)


def _ledger(ledger: LedgerHealth, at: datetime) -> Iterator[Metric]:
    yield from _seals(ledger.seals, at)
    yield from _spools(ledger.hosts, at)


def _seals(seals: SealHealth, at: datetime) -> Iterator[Metric]:
    total = seals.total
    for name, text, value in (
        ("events", "Events in the usage ledger, each once.", total.events),
        (
            "duplicates",
            "Arrivals of an event that had arrived before, conflicts among them; found by seals.",
            total.duplicates,
        ),
        (
            "conflicts",
            "Arrivals of an event that had arrived before with other content; the first is billed.",
            total.conflicts,
        ),
        ("late", "Events sealed after their quarter of an hour had been sealed: adjustments.", total.late),
    ):
        yield CounterMetricFamily(f"tallywatt_ingest_{'sealed_' if name == 'events' else ''}{name}", text, value)
    if seals.watermark is not None:
        text = "Age of the moment before which everything accepted is in the ledger."
        yield GaugeMetricFamily("tallywatt_seal_watermark_age_seconds", text, _seconds(at, seals.watermark))
    text = "Sealed duplicates that the live rollups still hold."
    yield GaugeMetricFamily("tallywatt_live_uncorrected_duplicates", text, seals.uncorrected)


def _spools(hosts: Iterable[HostHealth], at: datetime) -> Iterator[Metric]:
    found = list(hosts)
    for name, text, values in (
        ("spool_bytes", "Bytes accepted and not yet inserted.", {h.name: h.pending_bytes for h in found}),
        ("spool_files", "Files accepted and not yet inserted.", {h.name: h.pending_files for h in found}),
        (
            "spool_max_bytes",
            "Waiting bytes past which new batches are refused.",
            {h.name: h.spool_max_bytes for h in found},
        ),
        ("spool_kept_bytes", "Bytes inserted and kept until sealed.", {h.name: h.kept_bytes for h in found}),
        (
            "spool_oldest_age_seconds",
            "Age of the oldest batch that waits; 0 if none does.",
            {h.name: _seconds(at, h.oldest_pending_at or at) for h in found},
        ),
        (
            "host_published_age_seconds",
            "Since the host last published its progress; a silent host holds the seal.",
            {h.name: _seconds(at, h.published_at) for h in found},
        ),
        (
            "host_settled_age_seconds",
            "Age of the moment before which everything this host accepted is inserted.",
            {h.name: _seconds(at, h.settled_before) for h in found},
        ),
    ):
        yield _gauge(f"tallywatt_{name}", text, values, "host")


def _counters(counters: CountersHealth) -> Iterator[Metric]:
    yield from _requests(counters.counts.total)
    yield _queryable(counters.counts.total.queryable)
    yield GaugeMetricFamily(
        "tallywatt_workers", "Celery workers heard of in the last half minute.", len(counters.workers)
    )
    if counters.difference is not None:
        found = counters.difference.difference
        text = "Live rollups less ledger less unsealed arrivals, over the 35 days up to the seal: {} that live counts too often."
        name = "tallywatt_live_ledger_difference_"
        yield GaugeMetricFamily(f"{name}requests", text.format("requests"), found.requests)
        yield GaugeMetricFamily(f"{name}tokens", text.format("tokens"), found.tokens)


def _requests(total: Tally) -> Iterator[Metric]:
    reasons = {reason.value: 0 for reason in RejectReason if reason != RejectReason.CONFLICT}
    for name, text, label, values in (
        ("ingest_events", "Events accepted: valid, and durable in the spool.", "decoder", total.accepted),
        ("ingest_rejected", "Events rejected and kept in quarantine.", "reason", reasons | dict(total.rejected)),
        ("ingest_refused", "Whole requests refused, by HTTP status.", "status", total.refused),
        ("ingest_inserted_rows", "Rows inserted into ClickHouse, by kind.", "kind", total.inserted_rows),
    ):
        family = CounterMetricFamily(f"tallywatt_{name}", text, labels=[label])
        for key, value in sorted(values.items()):
            family.add_metric([key], value)
        yield family
    took = SummaryMetricFamily(
        "tallywatt_ingest_request_seconds", "Time until the answer of taken requests.", labels=["decoder"]
    )
    for decoder, count in sorted(total.requests.items()):
        took.add_metric([decoder], count_value=count, sum_value=total.seconds.get(decoder, 0.0))
    yield took


def _queryable(found: Histogram) -> Metric:
    edges = [*(f"{edge:g}" for edge in EDGES_S), "+Inf"]
    return HistogramMetricFamily(
        "tallywatt_receipt_to_queryable_seconds",
        "From the receipt of an event until queries see it; every event counts.",
        buckets=list(zip(edges, found.cumulative(), strict=True)),
        sum_value=found.sum_s,
    )


def _store(store: StoreHealth) -> Iterator[Metric]:
    for name, text, values in (
        ("parts", "Active parts.", {t.name: t.parts for t in store.tables}),
        (
            "most_parts",
            "Active parts of the partition that has most; inserts are slowed from 1,000.",
            {t.name: t.most_parts for t in store.tables},
        ),
        ("rows", "Rows, duplicates and superseded ones included.", {t.name: t.rows for t in store.tables}),
        ("bytes", "Bytes on disk, compressed.", {t.name: t.size_bytes for t in store.tables}),
    ):
        yield _gauge(f"tallywatt_clickhouse_{name}", text, values, "table")
    yield GaugeMetricFamily("tallywatt_clickhouse_merges", "Merges that run now.", store.merges)


def _gauge(name: str, text: str, values: Labelled, label: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _seconds(now: datetime, moment: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0)
