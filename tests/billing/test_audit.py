"""An invoice is recomputed from raw events, and every place where it differs is named."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from billing import pricebook
from billing.audit import UnknownInvoice, audit
from billing.models import Invoice
from metering.clickhouse import client
from metering.contracts import TenantInfo
from metering.models import IngestHost
from tests.billing.conftest import NOON, Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices")


@pytest.fixture
def number(tenant: TenantInfo, use: Use) -> str:
    use(
        tenant.key,
        {"input_tokens": 18_059_974, "output_tokens": 245_896, "cached_input_tokens": 7, "project": "p"},
        {"input_tokens": 50, "output_tokens": 0, "status": "error"},
        {"time": NOON + timedelta(days=5)},
        {"id": "0", "input_tokens": 18_059_974, "ingested_at": NOON + timedelta(hours=1)},  # twice: not billed twice
    )
    (closed,) = close(tenant)
    assert closed.number is not None
    return closed.number


def altered(statement: str) -> None:
    """Change the record as only somebody can who takes the triggers away."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE"
        )  # else foreign keys are still to be checked, and ALTER TABLE waits
        for table in ("billing_invoice", "billing_invoiceline", "billing_invoicetax"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER final_is_final")
        cursor.execute(statement)


def test_an_untouched_invoice_agrees(number: str) -> None:
    report = audit(number)
    assert report.differences == ()
    assert report.lines == 4


def test_it_still_agrees_after_prices_changed_and_late_events_were_sealed(
    number: str, tenant: TenantInfo, use: Use, settled: datetime
) -> None:
    pricebook.set_price(model="m", kind="input", per_million="99", currency="USD")
    pricebook.set_price(
        model="m",
        kind="input",
        per_million="98",
        currency="USD",
        effective_from=datetime.fromisoformat("2026-02-01T00:00Z"),
    )
    use(tenant.key, {"id": "late", "ingested_at": settled + timedelta(minutes=1)})
    IngestHost.objects.update(settled_before=settled + timedelta(minutes=2))
    close(tenant)
    assert audit(number).differences == ()


def test_an_altered_ledger_row_is_named_with_bucket_dimensions_and_both_values(number: str, tenant: TenantInfo) -> None:
    client.statement(
        "test_alter",
        "ALTER TABLE usage_ledger UPDATE output_tokens = output_tokens + 1 WHERE tenant = %(tenant)s AND project = 'p' "
        "SETTINGS mutations_sync = 1",
        {"tenant": tenant.key},
    )
    (place,) = audit(number).differences
    assert place.startswith(f"ledger, bucket 2026-01-15T12:00Z, tenant={tenant.key} project=p ")
    assert "model=m" in place
    assert place.endswith("output_tokens is 245897, raw events give 245896")


def test_a_raw_event_that_was_lost_shows_in_ledger_line_and_totals(number: str, tenant: TenantInfo) -> None:
    client.statement(
        "test_alter",
        "ALTER TABLE requests DELETE WHERE tenant = %(tenant)s AND project = 'p' SETTINGS mutations_sync = 1",
        {"tenant": tenant.key},
    )
    text = "\n".join(audit(number).differences)
    assert "ledger, bucket 2026-01-15T12:00Z" in text
    assert (
        "line 1 (model m, tier standard, input, from 2026-01-01T00:00Z), quantity: stored 18060067, recomputed" in text
    )
    assert "invoice, total: stored" in text


@pytest.mark.parametrize(
    ("statement", "places"),
    [
        (
            "UPDATE billing_invoiceline SET quantity = quantity + 1 WHERE position = 1",
            ["line 1 (model m, tier standard, input, from 2026-01-01T00:00Z), quantity: stored 18060068, recomputed 18060067"],
        ),
        (
            "UPDATE billing_invoiceline SET amount = amount + 0.01, residual = residual - 0.01 WHERE position = 3",
            ["line 3 (model m, tier standard, output, from 2026-01-01T00:00Z), amount: stored 0.16, recomputed 0.15",
             "line 3 (model m, tier standard, output, from 2026-01-01T00:00Z), residual: stored -0.0124564, recomputed -0.0024564"],
        ),
        (
            "UPDATE billing_invoiceline SET model = 'n' WHERE position = 2",
            ["line 2 (model n, tier standard, cached_input, from 2026-01-01T00:00Z), model: stored n, recomputed m"],
        ),
        (
            "UPDATE billing_invoice SET total = total + 1, subtotal = subtotal + 1, amount_due = amount_due + 1",
            [f"invoice, {name}: stored 3.86, recomputed 2.86" for name in ("subtotal", "total", "amount_due")],
        ),
        (
            "UPDATE billing_invoicetax SET base = base - 0.5",
            ["tax at 0: stored base 2.36, amount 0, recomputed base 2.86, amount 0.00"],
        ),
        ("UPDATE billing_invoice SET requests = requests - 1", ["invoice, requests: stored 2, recomputed 3"]),
    ],
)  # fmt: skip
def test_a_stored_figure_that_was_changed_is_named(number: str, statement: str, places: list[str]) -> None:
    altered(statement)
    assert list(audit(number).differences) == places


def test_an_invoice_of_unknown_rating_rules_is_not_audited_with_others(number: str) -> None:
    altered("UPDATE billing_invoice SET rating_version = 999")
    with pytest.raises(ValueError, match="rating version 999"):
        audit(number)


def test_an_unknown_number_is_said_to_be_unknown() -> None:
    assert not Invoice.objects.exists()
    with pytest.raises(UnknownInvoice, match="TW-1999-000001"):
        audit("TW-1999-000001")
