"""From events in the ledger to final invoices."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.utils import IntegrityError
from django.utils import timezone

from billing import finalising, invoices, invoicing, pricebook, runs
from billing.closing import PeriodOpen, close_period
from billing.models import Invoice, InvoiceSeries, InvoiceTax, Unchangeable
from billing.periods import month, month_of
from metering import public as metering
from metering.contracts import TenantInfo
from metering.models import IngestHost
from tests.billing.conftest import MONTH, NOON, Use, close

pytestmark = pytest.mark.usefixtures("settled")


def drafts_of(tenants: list[TenantInfo]) -> list[invoicing.Draft]:
    """Of MONTH, with everything that was used."""
    seal = metering.seal_usage(now=True).seal
    assert seal is not None
    due = runs.in_month(tenants, "2026-01")
    found = invoicing.drafts(due, seal, pricebook.current_versions())
    return [draft for draft in found.values() if isinstance(draft, invoicing.Draft)]


def only_invoice(tenant: TenantInfo) -> Invoice:
    return Invoice.objects.get(tenant=tenant.key)


@pytest.mark.usefixtures("prices")
def test_a_months_usage_becomes_a_final_invoice_with_its_lines(tenant: TenantInfo, use: Use) -> None:
    use(
        tenant.key,
        {"input_tokens": 18_000_000, "output_tokens": 245_000, "cached_input_tokens": 1_000_000},
        {"input_tokens": 59_974, "output_tokens": 896, "time": NOON + timedelta(days=3)},
        {"input_tokens": 500, "output_tokens": 0, "status": "error"},
    )
    (closed,) = close(tenant)
    detail = invoices.invoice(closed.number or "", tenant.key)
    assert detail is not None
    assert [(line.kind, line.quantity, line.amount) for line in detail.lines] == [
        ("input", 17_059_974, Decimal("2.56")),  # x 0.15 = 2.5589961
        ("cached_input", 1_000_000, Decimal("0.08")),  # x 0.075 = 0.075, half to even
        ("output", 245_896, Decimal("0.15")),  # x 0.60 = 0.1475376
        ("input", 500, Decimal("0.00")),
    ]
    assert [line.billed for line in detail.lines] == [True, True, True, False]
    assert detail.lines[0].residual == Decimal("-0.0010039")
    summary = detail.summary
    assert (summary.subtotal, summary.tax, summary.total) == (Decimal("2.79"), Decimal("0.00"), Decimal("2.79"))
    assert (summary.status, summary.period_start, summary.period_end) == ("open", MONTH.start, MONTH.end)
    assert (detail.usage.requests, detail.usage.requests_not_billed) == (3, 1)
    assert (detail.usage.input_tokens, detail.usage.output_tokens) == (18_060_474, 245_896)
    assert (detail.price_versions, detail.rating_version) == ({"list": 3}, 2)
    assert (detail.usage_leaves, len(detail.usage_root)) == (3, 64)


@pytest.mark.usefixtures("prices")
def test_only_usage_within_the_half_open_period_is_on_it(tenant: TenantInfo, use: Use) -> None:
    moment = timedelta(milliseconds=1)
    times = [MONTH.start - moment, MONTH.start, MONTH.end - moment, MONTH.end]
    use(tenant.key, *({"time": at, "input_tokens": 10**n, "output_tokens": 0} for n, at in enumerate(times)))
    close(tenant)
    assert only_invoice(tenant).input_tokens == 10 + 100


@pytest.mark.usefixtures("prices")
def test_closing_again_names_the_same_invoice_and_what_came_late(
    tenant: TenantInfo, use: Use, settled: datetime
) -> None:
    use(tenant.key, {})
    (first,) = close(tenant)
    (again,) = close(tenant)
    assert (first.new, again.new, again.number) == (True, False, first.number)
    assert "late" not in again.notes[0]
    use(tenant.key, {"id": "late", "ingested_at": settled + timedelta(minutes=1)})
    IngestHost.objects.update(settled_before=settled + timedelta(minutes=2))
    (after,) = close(tenant)
    assert (after.new, after.number) == (False, first.number)
    assert "late since then, and not on it: 1 events, which the next invoice adjusts" in after.notes[0]
    assert only_invoice(tenant).requests == 1


@pytest.mark.usefixtures("prices")
def test_numbers_have_no_gaps_and_follow_the_order_of_tenants(use: Use, clickhouse: None, tenant_key: str) -> None:
    tenants = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(3)]
    for tenant in tenants[::2]:
        use(tenant.key, {})
    results = close(*tenants)
    year = timezone.now().year
    assert [closed.number for closed in results] == [f"TW-{year}-000001", None, f"TW-{year}-000002"]
    assert "no usage" in results[1].notes[0]
    assert InvoiceSeries.objects.get().last == 2


def test_usage_without_a_price_blocks_one_tenant_and_not_the_others(
    use: Use, prices: None, clickhouse: None, tenant_key: str
) -> None:
    paid, unpaid = (metering.create_tenant(f"{tenant_key}-{name}") for name in ("paid", "unpaid"))
    use(paid.key, {})
    use(unpaid.key, {"model": "new model", "tier": "batch"})
    blocked, fine = close(unpaid, paid)
    assert blocked.number is None
    assert len(blocked.problems) == 2
    assert "set_price --model 'new model' --kind input --per-million X --currency USD" in blocked.problems[0]
    assert fine.number is not None
    assert InvoiceSeries.objects.get().last == 1


def test_a_price_that_begins_too_late_is_named_with_the_date_it_is_needed_from(tenant: TenantInfo, use: Use) -> None:
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD", effective_from=MONTH.end)
    use(tenant.key, {})
    (closed,) = close(tenant)
    assert closed.problems[0].endswith("--effective-from 2026-01-01")


def test_a_price_change_within_the_month_splits_the_usage_where_it_begins(tenant: TenantInfo, use: Use) -> None:
    pricebook.set_price(model="m", kind="input", per_million="1", currency="USD")
    pricebook.set_price(model="m", kind="input", per_million="3", currency="USD", effective_from=NOON)
    before = NOON - timedelta(milliseconds=1)
    use(
        tenant.key,
        *({"time": at, "input_tokens": tokens, "output_tokens": 0} for at, tokens in ((before, 10**6), (NOON, 10**7))),
    )
    close(tenant)
    lines = only_invoice(tenant).lines.all()
    assert [(line.start, line.end, line.quantity, line.amount) for line in lines] == [
        (MONTH.start, NOON, 10**6, 1),
        (NOON, MONTH.end, 10**7, 30),
    ]


@pytest.mark.usefixtures("prices")
def test_a_tenants_currency_decides_its_prices_and_digits(use: Use, clickhouse: None, tenant_key: str) -> None:
    tenant = metering.create_tenant(tenant_key, currency="JPY")
    for kind in ("input", "output"):
        pricebook.set_price(model="*", kind=kind, per_million="12345", currency="JPY")
    use(tenant.key, {"input_tokens": 1000, "output_tokens": 0})
    (closed,) = close(tenant)
    detail = invoices.invoice(closed.number or "")
    assert detail is not None
    assert str(detail.summary.total) == "12"  # 12.345


def test_a_period_that_has_not_ended_is_refused(tenant: TenantInfo) -> None:
    with pytest.raises(PeriodOpen, match="has not ended yet"):
        close_period(month_of(timezone.now()), [tenant])


@pytest.mark.usefixtures("prices")
def test_a_host_that_still_holds_events_keeps_the_period_open(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    IngestHost.objects.create(name="slow", settled_before=NOON, published_at=timezone.now())
    with pytest.raises(metering.SealHeld, match="slow"):
        close_period(MONTH, [tenant], wait_s=0)
    assert not Invoice.objects.exists()


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "2026", "2026-10-01", "october", "", "2026-1\u0660", "0000-01"])
def test_a_period_that_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"month such as|no billing period"):
        month(text)


def test_december_ends_with_the_year() -> None:
    assert month("2023-12").end == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("prices")
def test_a_final_invoice_refuses_every_change_by_the_models(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    close(tenant)
    invoice = only_invoice(tenant)
    line, tax = invoice.lines.all()[0], invoice.taxes.all()[0]
    for row in (invoice, line, tax):
        with pytest.raises(Unchangeable):
            row.save()
        with pytest.raises(Unchangeable):
            row.delete()


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = total + 1, subtotal = subtotal + 1",
        "UPDATE billing_invoice SET finalised_at = NULL",
        "UPDATE billing_invoiceline SET quantity = quantity + 1",
        "UPDATE billing_invoicetax SET rate = 0.19",
        "DELETE FROM billing_invoiceline",
        "DELETE FROM billing_invoicetax",
        "DELETE FROM billing_invoice",
        "INSERT INTO billing_invoicetax (invoice_id, rate, base, amount) SELECT id, 0.5, 0, 0 FROM billing_invoice",
        "UPDATE billing_price SET amount = 1",
        "DELETE FROM billing_price",
        "UPDATE billing_pricebookversion SET number = 77",
    ],
)
def test_the_database_itself_refuses_to_change_the_record(tenant: TenantInfo, use: Use, statement: str) -> None:
    use(tenant.key, {})
    close(tenant)
    with pytest.raises(IntegrityError, match="never changed"), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.usefixtures("prices")
def test_usage_beyond_all_measure_blocks_its_own_tenant_only(use: Use, clickhouse: None, tenant_key: str) -> None:
    absurd, fine = (metering.create_tenant(f"{tenant_key}-{name}") for name in ("absurd", "fine"))
    use(absurd.key, {"input_tokens": 2**61, "output_tokens": 0})
    use(fine.key, {"model": "m" * 300}, {})
    for kind in ("input", "output"):
        pricebook.set_price(model="*", kind=kind, per_million="1", currency="USD")
    blocked, billed = close(absurd, fine)
    assert "look at what this tenant sends" in blocked.problems[0]
    assert billed.number is not None


@pytest.mark.django_db(transaction=True)
def test_two_finalisers_at_once_make_one_invoice_and_no_gap(use: Use, clickhouse: None, tenant_key: str) -> None:
    tenants = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(4)]
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD")
    for tenant in tenants:
        use(tenant.key, {})
    drafts = drafts_of(tenants)
    together = threading.Barrier(4)

    def finalise() -> list[tuple[str, bool]]:
        try:
            together.wait(10)
            return [(made.invoice.number, made.new) for made in finalising.finalise(drafts)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        results = [future.result(30) for future in [pool.submit(finalise) for _ in range(4)]]
    year = timezone.now().year
    numbers = [f"TW-{year}-{n:06d}" for n in range(1, 5)]
    assert [[number for number, _ in made] for made in results] == [numbers] * 4
    assert sum(new for made in results for _, new in made) == 4
    assert list(Invoice.objects.order_by("number").values_list("number", flat=True)) == numbers


@pytest.mark.usefixtures("prices")
def test_a_batch_that_fails_leaves_no_invoice_and_uses_no_number(
    tenant: TenantInfo, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tenant.key, {})

    def broken(*_: object) -> None:
        raise OSError("the machine went away")

    with monkeypatch.context() as patched:
        patched.setattr(InvoiceTax.objects, "bulk_create", broken)
        with pytest.raises(OSError, match="went away"):
            close(tenant)
    assert not Invoice.objects.exists()
    (closed,) = close(tenant)
    assert closed.number == f"TW-{timezone.now().year}-000001"
