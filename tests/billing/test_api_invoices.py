"""`GET /api/v1/invoices`, its lines, the OpenAPI document, and the values for the dashboard."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from billing import public as billing
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key, rows_of
from tests.billing.conftest import Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices")


@pytest.fixture
def number(tenant: TenantInfo, use: Use) -> str:
    use(tenant.key, {"input_tokens": 18_059_974, "output_tokens": 245_896})
    (closed,) = close(tenant)
    assert closed.number is not None
    return closed.number


def test_the_list_has_exactly_the_shape_that_others_script_against(tenant: TenantInfo, number: str) -> None:
    answer = get("/api/v1/invoices", key(tenant.key)).json()
    assert set(answer) == {"data", "next"}
    (row,) = answer["data"]
    as_of = row.pop("as_of")
    assert as_of.endswith("Z")
    issued = date.fromisoformat(row.pop("issued_on"))
    assert date.fromisoformat(row.pop("due_on")) - issued == timedelta(days=30)
    assert row == {
        "number": number,
        "tenant": tenant.key,
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-02-01T00:00:00Z",
        "currency": "USD",
        "subtotal": "2.86",
        "tax": "0.00",
        "total": "2.86",
        "status": "open",
        "kind": "usage",
        "credits_applied": "0.00",
        "amount_due": "2.86",
        "paid": "0.00",
        "credited": "0.00",
        "outstanding": "2.86",
    }


def test_lines_carry_price_quantity_exact_amount_and_residual(tenant: TenantInfo, number: str) -> None:
    answer = get(f"/api/v1/invoices/{number}/lines", key(tenant.key)).json()
    assert answer["data"][0] == {
        "line": 1,
        "model": "m",
        "tier": "standard",
        "kind": "input",
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-02-01T00:00:00Z",
        "quantity": 18_059_974,
        "unit": "tokens",
        "billed": True,
        "unit_price_per_million": "0.15",
        "amount_exact": "2.7089961",
        "amount": "2.71",
        "residual": "-0.0010039",
        "tax_rate": "0",
        "currency": "USD",
        "description": "18,059,974 tokens x 0.15 USD per million",
        "type": "usage",
        "operation": "",
        "region": "",
        "context_over": 0,
        "included": 0,
        "charge_model": "per_unit",
        "unit_price": "0.15",
        "per": 1_000_000,
        "adjusts": "",
    }
    assert [line["kind"] for line in answer["data"]] == ["input", "output"]


def test_csv_of_both_has_the_same_values(tenant: TenantInfo, number: str) -> None:
    token = key(tenant.key)
    for path in ("/api/v1/invoices", f"/api/v1/invoices/{number}/lines"):
        shown = get(path, token).json()["data"]
        found = rows_of(get(path, token, {"format": "csv"}))
        assert found == [
            {name: str(value).lower() if value is True else str(value) for name, value in row.items()} for row in shown
        ]


def test_the_newest_come_first_and_pages_hold_each_once(use: Use, clickhouse: None, tenant_key: str) -> None:
    tenants = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(3)]
    for tenant in tenants:
        use(tenant.key, {})
    numbers = [closed.number for closed in close(*tenants)]
    first = get("/api/v1/invoices", key(None), {"limit": "2"}).json()
    second = get("/api/v1/invoices", key(None), {"limit": "2", "cursor": first["next"]}).json()
    assert [row["number"] for row in first["data"] + second["data"]] == numbers[::-1]
    assert second["next"] is None
    for wrong in ("AAAA", "WzFd"):
        assert get("/api/v1/invoices", key(None), {"cursor": wrong}).status_code == 400


def test_the_openapi_document_describes_the_endpoints() -> None:
    document = Client().get("/api/schema/", {"format": "json"}).json()
    usage = document["paths"]["/api/v1/usage"]["get"]
    assert {parameter["name"] for parameter in usage["parameters"]} >= {
        "from",
        "to",
        "window",
        "group_by",
        "tenant",
        "cursor",
    }
    assert usage["security"] == [{"apiKey": []}]
    shape = document["components"]["schemas"]["UsageRowShape"]["properties"]
    assert shape["cost"]["type"] == ["string", "null"]
    assert "/api/v1/invoices/{number}/lines" in document["paths"]


def test_cost_to_date_is_exact_and_names_what_has_no_price(tenant: TenantInfo, use: Use) -> None:
    now = timezone.now().replace(microsecond=0)
    use(
        tenant.key,
        {"time": now, "input_tokens": 1, "output_tokens": 1},
        {"time": now, "model": "priceless", "input_tokens": 5, "output_tokens": 0},
        {"time": now, "status": "error"},
    )
    cost = billing.cost_to_date(tenant.key)
    assert (cost.amount, cost.currency) == (Decimal("0.00000075"), "USD")
    assert [(row.model, row.cost) for row in cost.by_model] == [("m", Decimal("0.00000075")), ("priceless", Decimal(0))]
    assert [(row.model, row.kind, row.quantity) for row in cost.unpriced] == [("priceless", "input", 5)]
    assert cost.period == billing.month_of(now)


def test_the_cost_of_a_closed_month_rounds_to_its_invoice(tenant: TenantInfo, number: str) -> None:
    cost = billing.cost_to_date(tenant.key, billing.month("2026-01"))
    detail = billing.invoice(number, tenant.key)
    assert detail is not None
    assert cost.amount == sum(line.amount_exact for line in detail.lines)
    assert billing.invoice(number, "somebody else") is None
    with pytest.raises(LookupError, match="no tenant"):
        billing.cost_to_date("nobody")


@pytest.mark.parametrize("path", ["%00", "TW-2026-000001%0A", "' OR 1=1", "x" * 300])
def test_what_is_no_number_is_not_found(tenant: TenantInfo, path: str) -> None:
    answer = get(f"/api/v1/invoices/{path}/lines", key(tenant.key))
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_cursor_that_is_no_number_gives_nothing(tenant: TenantInfo, number: str) -> None:
    for wrong in ("Ilx1MDAwMCI", "Im5vbmUi"):  # "\u0000", "none"
        assert get("/api/v1/invoices", key(tenant.key), {"cursor": wrong}).json() == {"data": [], "next": None}
