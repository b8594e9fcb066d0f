"""The usage behind an invoice line, through the API."""

from decimal import Decimal

import pytest
from django.http import HttpResponse

from billing.models import Invoice, InvoiceLine
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key, rows_of
from tests.billing.conftest import Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices")


@pytest.fixture
def line(tenant: TenantInfo, use: Use) -> InvoiceLine:
    """Input of seven requests in one hour: 0.105 USD."""
    use(tenant.key, *({"id": f"r-{n}", "input_tokens": 100_000} for n in range(7)))
    closed = close(tenant)[0]
    return Invoice.objects.get(number=closed.number).lines.get(kind="input")


def ask(line: InvoiceLine, token: str | None, **query: str) -> HttpResponse:
    return get(f"/api/v1/invoices/{line.invoice.number}/lines/{line.position}/usage", token, query)


def test_hours_are_the_default(line: InvoiceLine) -> None:
    answer = ask(line, key(line.invoice.tenant))
    assert answer.json() == {
        "data": [
            {
                "hour": "2026-01-15T12:00:00Z",
                "requests": 7,
                "quantity": 700_000,
                "amount_exact": "0.105",
                "amount": "0.10",
                "residual": "0.005",
                "currency": "USD",
            }
        ],
        "next": None,
    }


def test_requests_come_in_pages_whose_amounts_add_up_to_the_line(line: InvoiceLine) -> None:
    token = key(line.invoice.tenant)
    rows, query = [], {"window": "request", "limit": "3"}
    while True:
        answer = ask(line, token, **query).json()
        rows += answer["data"]
        if answer["next"] is None:
            break
        assert len(answer["data"]) == 3
        query["cursor"] = answer["next"]
    assert [row["id"] for row in rows] == [f"r-{n}" for n in range(7)]
    assert [row["amount"] for row in rows] == ["0.02", "0.02", "0.02", "0.01", "0.01", "0.01", "0.01"]
    assert sum(Decimal(row["amount_exact"]) for row in rows) == line.amount_exact
    first = rows[0]
    assert (first["time"], first["model"], first["input_tokens"]) == ("2026-01-15T12:00:00Z", "m", 100_000)


def test_csv_has_the_next_page_in_a_link(line: InvoiceLine) -> None:
    token = key(line.invoice.tenant)
    answer = ask(line, token, window="request", format="csv", limit="5")
    assert [row["id"] for row in rows_of(answer)] == [f"r-{n}" for n in range(5)]
    assert 'rel="next"' in answer["Link"]
    assert len(rows_of(ask(line, token, format="csv"))) == 1


def test_one_hour_can_be_asked_for(line: InvoiceLine) -> None:
    token = key(line.invoice.tenant)
    inside = ask(line, token, window="request", hour="2026-01-15T12:00:00Z").json()
    beside = ask(line, token, window="request", hour="2026-01-15T13:00:00Z").json()
    assert (len(inside["data"]), beside["data"]) == (7, [])


def test_another_tenants_key_gets_404_as_for_an_invoice_that_is_not_there(line: InvoiceLine) -> None:
    other = metering.create_tenant(f"{line.invoice.tenant}-other")
    for window in ("hour", "request"):
        assert ask(line, key(other.key), window=window).status_code == 404
        assert ask(line, key(None), window=window).status_code == 200
    missing = get(f"/api/v1/invoices/TW-1999-000001/lines/{line.position}/usage", key(other.key))
    foreign = ask(line, key(other.key))
    assert missing.json()["detail"].replace("TW-1999-000001", "N") == foreign.json()["detail"].replace(
        line.invoice.number, "N"
    )
    assert ask(line, None).status_code == 401
    assert ask(line, key(line.invoice.tenant, "usage:read")).status_code == 403


def test_a_line_that_is_not_there_is_404(line: InvoiceLine) -> None:
    answer = get(f"/api/v1/invoices/{line.invoice.number}/lines/99/usage", key(line.invoice.tenant))
    assert answer.status_code == 404
    assert "has no line 99" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"window": "day"}, "window"),
        ({"limit": "5"}, "limit"),
        ({"window": "request", "limit": "1001"}, "limit"),
        ({"window": "request", "hour": "noon"}, "hour"),
        ({"window": "request", "cursor": "nonsense"}, "cursor"),
        ({"window": "request", "cursor": "WzEsMl0"}, "cursor"),
        ({"window": "request", "cursor": "IlsxLDJdIg"}, "cursor"),
        ({"window": "request", "from": "2026-01-01"}, "from"),
    ],
)
def test_bad_parameters_are_refused_by_name(line: InvoiceLine, query: dict[str, str], parameter: str) -> None:
    answer = ask(line, key(line.invoice.tenant), **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == parameter
