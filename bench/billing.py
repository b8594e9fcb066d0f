"""Billing: drafts and invoices of 10,000 tenants with hourly usage of five models, and the audit of one invoice of ten million events.

The rows are made by ClickHouse itself: usage straight into the ledger under a completed seal; the audited tenant's events into `requests`,
sealed as every event is, beside ninety million of others.
"""

import os
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.ingest import freshness, statement
from bench.report import Figure, figure
from bench.stack import manage

TENANTS = int(os.environ.get("BENCH_TENANTS", "10000"))
AUDITED = int(os.environ.get("BENCH_AUDITED_EVENTS", "10000000"))
BESIDE = 9 * AUDITED  # events of others in the same table
MODELS, HOURS = 5, 720
ROWS = MODELS * HOURS  # of one tenant
CHUNK = 1_000  # tenants in one insert
BIG = "bench-big"


def measure(url: str, key: str, data_dir: Path) -> list[Figure]:
    freshness(url, key)  # one event through the front door: from then on the host says up to when it may be sealed
    start = _last_month()
    _prices()
    return _ten_thousand(start) + _audit(start, data_dir)


def _ten_thousand(start: datetime) -> list[Figure]:
    from billing import adjustments, pricebook, runs
    from metering import public as metering

    _tenants()
    _contracts(start)
    seal = _ledger(start)
    month = f"{start:%Y-%m}"
    tenants = [tenant for tenant in metering.tenants() if tenant.key.startswith("bench-0")]
    before = _peak_mb()

    def draft() -> int:
        due = runs.in_month(tenants, month)
        late, versions = adjustments.Late(seal), pricebook.current_versions()
        batches = (due[first : first + 500] for first in range(0, len(due), 500))
        return sum(len(runs.prepared(batch, seal, versions, late)) for batch in batches)

    count, drafting_s = _timed(draft)
    drafted = _peak_mb()
    run = runs.plan_run(datetime.now(UTC), [tenant.key for tenant in tenants], month=month, actor="bench")
    outcomes, finalising_s = _timed(lambda: runs.work(run, actor="bench"))
    if not count == TENANTS == sum(outcome.new for outcome in outcomes):
        raise RuntimeError(f"{count} drafts and {len(outcomes)} outcomes of {TENANTS} tenants: {run.problems[:3]}")
    note = f"{TENANTS:,} tenants, {TENANTS * ROWS:,} ledger rows, every second tenant under a contract"
    return [
        figure("billing.draft_10k_tenants_s", drafting_s, note=note),
        figure(
            "billing.run_10k_tenants_s", finalising_s, unit="s", note="drafts, digests, numbers and rows of them all"
        ),
        figure("billing.draft_peak_mb", drafted, unit="MB", note=f"of the process; {before:,.0f} MB before"),
        figure("billing.run_peak_mb", _peak_mb(), unit="MB"),
    ]


def _audit(start: datetime, data_dir: Path) -> list[Figure]:
    from metering.public import create_tenant

    create_tenant(BIG)
    _events(start)
    _, sealing_s = _timed(lambda: manage(data_dir, "seal", "--now"))
    number, closing_s = _timed(
        lambda: manage(data_dir, "close_period", "--tenant", BIG, "--period", f"{start:%Y-%m}", "--wait", "120")
    )
    said, audit_s = _timed(lambda: manage(data_dir, "audit_invoice", number))
    rows = statement("SELECT count() FROM requests")[0][0]
    return [
        figure("billing.seal_s", sealing_s, unit="s", note=f"{AUDITED:,} events"),
        figure("billing.close_s", closing_s, unit="s", note="the same, with the digest"),
        figure("billing.audit_s", audit_s, note=f"{number}: {AUDITED:,} events in a table of {rows:,}; {said[:80]}"),
    ]


def _last_month() -> datetime:
    now = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (now - timedelta(days=1)).replace(day=1)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.monotonic()
    return work(), time.monotonic() - started


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _prices() -> None:
    from billing.public import set_price

    for kind, amount in (("input", "0.5"), ("cached_input", "0.1"), ("output", "1.5")):
        set_price(model="*", kind=kind, per_million=Decimal(amount), currency="USD")


def _tenants() -> None:
    from metering.models import Tenant

    rows = [Tenant(key=_key(n), name=f"Tenant {n}", currency="USD") for n in range(TENANTS)]
    Tenant.objects.bulk_create(rows, batch_size=2000)


def _key(number: int) -> str:
    return f"bench-0{number:05d}"


def _contracts(start: datetime) -> None:
    """Every second tenant: a fee, and a discount on usage."""
    from billing.models import Contract, ContractRevision, Discount, FlatFee

    day = start.date()
    numbers = range(0, TENANTS, 2)
    contracts = [Contract(number=f"B-{n}", tenant=_key(n), currency="USD", starts_on=day) for n in numbers]
    Contract.objects.bulk_create(contracts, batch_size=2000)
    revisions = [ContractRevision(contract=each, number=1, effective_on=day) for each in contracts]
    ContractRevision.objects.bulk_create(revisions, batch_size=2000)
    fees = [FlatFee(revision=each, code="base", description="Base", amount=Decimal(100)) for each in revisions]
    FlatFee.objects.bulk_create(fees, batch_size=2000)
    discounts = [
        Discount(revision=each, position=1, code="ten", description="10 %", share=Decimal("0.1")) for each in revisions
    ]
    Discount.objects.bulk_create(discounts, batch_size=2000)


def _ledger(start: datetime) -> Any:
    from metering.contracts import SealInfo
    from metering.models import Seal

    now = datetime.now(UTC)
    last = Seal.objects.order_by("-pk").first()
    begin = last.watermark if last else start
    seal = Seal.objects.create(watermark_from=begin, watermark=begin, state=Seal.State.COMPLETED, completed_at=now)
    for first in range(0, TENANTS, CHUNK):
        count = min(CHUNK, TENANTS - first) * ROWS
        statement(
            f"""
            INSERT INTO usage_ledger (tenant, bucket, seal, model, operation, tier, region, status, context_band, requests, input_tokens,
                cached_input_tokens, output_tokens)
            SELECT concat('bench-0', leftPad(toString({first} + intDiv(number, {ROWS})), 5, '0')),
                toDateTime({int(start.timestamp())} + intDiv(number % {ROWS}, {MODELS}) * 3600, 'UTC'), {seal.pk},
                concat('model-', toString(number % {MODELS})), 'chat', 'standard', 'eu-west', 'ok', 32000, 40, 40000 + number % 977,
                9000 + number % 31, 8000 + number % 89
            FROM numbers({count})
            """
        )
    return SealInfo(seal.pk, seal.watermark, now)


def _events(start: datetime) -> None:
    """Those of the audited tenant wait to be sealed; the others' are marked as observed, which no seal reads."""
    start_ms, span_ms = int(start.timestamp() * 1000), HOURS * 3_600_000
    for tenant, rows, observed in ((BIG, AUDITED, 0), ("bench-others", BESIDE, 1)):
        for first in range(0, rows, 2_000_000):
            count = min(2_000_000, rows - first)
            arrived = int(datetime.now(UTC).timestamp() * 1_000_000)
            statement(
                f"""
                INSERT INTO requests (tenant, time, id, observed, ingested_at, batch, row, model, operation, tier, status, input_tokens,
                    cached_input_tokens, output_tokens, ttft_ms, e2e_ms, region, node)
                SELECT '{tenant}', fromUnixTimestamp64Milli({start_ms} + ({first} + number) * 97 % {span_ms}, 'UTC'),
                    concat('b-', toString({first} + number)), {observed}, fromUnixTimestamp64Micro({arrived} + number % 1000, 'UTC'),
                    generateUUIDv4(1), number, concat('model-', toString(number % {MODELS})), 'chat',
                    'standard',
                    if(number % 100 = 0, 'error', 'ok'), 500 + number % 1000, number % 300, 50 + number % 450, 20 + number % 80,
                    900 + number % 4000, 'eu-west', concat('node-', toString(number % 16))
                FROM numbers({count})
                """
            )
