"""The itemised CSV: every row of an invoice by hour or request, and its amounts are the invoice's."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from billing import documents
from billing.documents import Detail
from billing.documents.itemised import COLUMNS
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.conftest import NOON, Use, close
from tests.billing.documents import issued

EVIL = "=cmd|' /C calc'!A0"


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def read(number: str, detail: str, token: str) -> list[dict[str, str]]:
    answer = get(f"/api/v1/invoices/{number}/items.csv", token, {"detail": detail})
    assert answer.status_code == 200
    return rows_of(b"".join(answer.streaming_content))


@pytest.fixture
def number(tenant: TenantInfo, use: Use, settled: object, prices: None) -> str:
    """Three requests in two hours, one of them failed."""
    use(
        tenant.key,
        {"input_tokens": 1_000_003, "output_tokens": 100_001},
        {"input_tokens": 333_333, "output_tokens": 7, "time": NOON + timedelta(hours=3)},
        {"input_tokens": 50, "output_tokens": 0, "status": "error"},
    )
    (closed,) = close(tenant)
    assert closed.number is not None
    return closed.number


@pytest.mark.parametrize("detail", list(Detail))
def test_the_amounts_of_all_rows_are_the_subtotal(tenant: TenantInfo, number: str, detail: Detail) -> None:
    rows = read(number, detail, key(tenant.key))
    (listed,) = get("/api/v1/invoices", key(tenant.key)).json()["data"]
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(listed["subtotal"])
    lines = get(f"/api/v1/invoices/{number}/lines", key(tenant.key)).json()["data"]
    for line in lines:
        own = [row for row in rows if row["line"] == str(line["line"])]
        assert sum(Decimal(row["amount"]) for row in own) == Decimal(line["amount"])
        assert sum(Decimal(row["quantity"]) for row in own) == Decimal(line["quantity"])
        assert sum(Decimal(row["amount_exact"]) for row in own) == Decimal(line["amount_exact"])


def test_hours_are_rows_of_their_own(tenant: TenantInfo, number: str) -> None:
    rows = [row for row in read(number, "hours", key(tenant.key)) if row["kind"] == "input" and row["billed"] == "true"]
    assert [(row["start"], row["end"], row["quantity"], row["requests"]) for row in rows] == [
        ("2026-01-15T12:00:00Z", "2026-01-15T13:00:00Z", "1000003", "1"),
        ("2026-01-15T15:00:00Z", "2026-01-15T16:00:00Z", "333333", "1"),
    ]


def test_requests_are_named_and_what_failed_is_not_billed(tenant: TenantInfo, number: str) -> None:
    rows = read(number, "requests", key(tenant.key))
    assert {row["request_id"] for row in rows if row["kind"] == "input"} == {"0", "1", "2"}
    assert {(row["request_id"], row["amount"], row["status"]) for row in rows if row["billed"] == "false"} == {
        ("2", "0.00", "error")
    }


def test_hours_are_what_comes_unless_something_else_is_asked_for(tenant: TenantInfo, number: str) -> None:
    answer = get(f"/api/v1/invoices/{number}/items.csv", key(tenant.key))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="{number}-hours.csv"'
    assert rows_of(b"".join(answer.streaming_content)) == read(number, "hours", key(tenant.key))
    refused = get(f"/api/v1/invoices/{number}/items.csv", key(tenant.key), {"detail": "days"})
    assert refused.status_code == 400
    assert "lines, hours, requests" in str(refused.json())


def test_fees_and_credits_are_one_row(tenant: TenantInfo) -> None:
    fee = {"type": "flat_fee", "model": "", "tier": "", "kind": "", "explanation": "Platform fee", "key": "fee"}
    made = issued(tenant.key, [fee])
    for detail in Detail:
        (row,) = rows_of(b"".join(documents.itemised_csv(made.number, tenant.key, detail)))
        assert (row["type"], row["description"], row["amount"]) == ("flat_fee", "Platform fee", "1.00")


def test_names_that_a_spreadsheet_would_run_are_quoted(tenant: TenantInfo) -> None:
    fee = {
        "type": "flat_fee",
        "model": EVIL,
        "tier": "+1",
        "kind": "@SUM",
        "explanation": '-2+3, "quoted"',
        "amount": Decimal("-1.00"),
        "amount_exact": Decimal("-1.00"),
    }
    (row,) = rows_of(b"".join(documents.itemised_csv(issued(tenant.key, [fee]).number, None, Detail.LINES)))
    assert (row["model"], row["tier"], row["kind"], row["description"]) == (
        f"'{EVIL}",
        "'+1",
        "'@SUM",
        '\'-2+3, "quoted"',
    )
    assert row["amount"] == "-1.00"  # a number stays one


def test_an_invoice_of_nothing_has_its_header(tenant: TenantInfo) -> None:
    made = issued(tenant.key, [{"type": "flat_fee"}])
    (header, *_) = b"".join(documents.itemised_csv(made.number)).decode().splitlines()
    assert header == ",".join(COLUMNS)


def test_another_tenants_items_are_404(tenant: TenantInfo, tenant_key: str) -> None:
    made = issued(tenant.key)
    foreign = metering.create_tenant(f"{tenant_key}-other")
    assert get(f"/api/v1/invoices/{made.number}/items.csv", key(foreign.key)).status_code == 404
    assert get(f"/api/v1/invoices/{made.number}/items.csv", key(tenant.key, "usage:read")).status_code == 403
    assert Client().get(f"/api/v1/invoices/{made.number}/items.csv").status_code == 401
    with pytest.raises(documents.NoSuchDocument):
        documents.itemised_csv(made.number, foreign.key)


@pytest.mark.django_db(transaction=True)
def test_under_asgi_it_is_sent_while_it_is_made(tenant: TenantInfo) -> None:
    made = issued(
        tenant.key,
        [{"type": "flat_fee", "explanation": f"Fee {n}"} for n in range(1_200)],
        subtotal=Decimal("1200"),
        total=Decimal("1200.19"),
        amount_due=Decimal("1200.19"),
    )
    token = key(tenant.key)

    async def pieces() -> list[bytes]:
        answer = await AsyncClient().get(
            f"/api/v1/invoices/{made.number}/items.csv", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.is_async
        return [piece async for piece in answer.streaming_content]

    found = async_to_sync(pieces)()
    assert len(found) > 2
    assert len(rows_of(b"".join(found))) == 1_200
