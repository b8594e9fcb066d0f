"""What a customer and finance see: usage, costs, invoices."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from billing.public import set_price
from dashboard.portal.months import chosen, days, offered
from metering.contracts import TenantInfo
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests

NOVEMBER = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.decode()))


def test_the_month_so_far_is_there_before_any_seal_and_counts_a_duplicate_once(
    tenant: TenantInfo, prices: None, log_in: LogIn
) -> None:
    now = datetime.now(UTC)
    one = {"id": "1", "time": now, "input_tokens": 18_059_974, "output_tokens": 245_896, "model": "m1"}
    insert_requests(tenant.key, one | {"ingested_at": now}, one | {"ingested_at": now + timedelta(seconds=1)})
    page = text(log_in("customer", tenant.key).get(reverse("portal")).content)
    assert "Acme &lt;Search&gt;: usage in" in page
    assert "18,059,974" in page
    assert "245,896" in page
    assert "Cost to date 18.80 USD" in page  # 18.059974 + 3 x 0.245896 = 18.797662


def test_usage_without_a_price_is_named_and_not_shown_as_a_cost(tenant: TenantInfo, log_in: LogIn) -> None:
    now = datetime.now(UTC)
    insert_requests(tenant.key, {"id": "1", "time": now, "ingested_at": now, "model": "unpriced-model"})
    page = text(log_in("customer", tenant.key).get(reverse("portal")).content)
    assert "Some usage has no price yet" in page
    assert "unpriced-model (input)" in page
    assert "set_price" not in page  # that advice is for the provider
    assert "set_price" in text(log_in("finance").get(reverse("customer", args=[tenant.key])).content)


def test_what_has_a_price_is_added_up_beside_what_has_none(tenant: TenantInfo, log_in: LogIn) -> None:
    set_price(model="m1", kind="input", per_million=Decimal(1), currency="USD")
    now = datetime.now(UTC)
    priced = {"id": "1", "time": now, "ingested_at": now, "input_tokens": 3_000_000, "output_tokens": 0, "model": "m1"}
    nameless = {"input_tokens": 5, "output_tokens": 7, "model": "unpriced-model"}
    insert_requests(tenant.key, priced, priced | nameless | {"id": "2"}, priced | nameless | {"id": "3"})
    page = text(log_in("customer", tenant.key).get(reverse("portal")).content)
    assert "Cost to date 3.00 USD" in page
    assert page.count("unpriced-model (input)") == page.count("unpriced-model (output)") == 1


def test_a_month_without_usage_says_how_to_send_the_first_event(tenant: TenantInfo, log_in: LogIn) -> None:
    page = log_in("customer", tenant.key).get(reverse("portal"), {"month": "2025-02"}).content.decode()
    assert "No usage in February 2025" in page
    assert "http://testserver/api/v1/events" in page


@pytest.mark.parametrize("month", ["2026-13", "november", "2026-11-01", "0000-01"])
def test_a_month_that_is_none_is_400(month: str, tenant: TenantInfo, log_in: LogIn) -> None:
    client = log_in("customer", tenant.key)
    assert client.get(reverse("portal"), {"month": month}).status_code == 400
    assert client.get(reverse("portal-csv"), {"month": month}).status_code == 400


def test_an_invoiced_month_shows_the_invoices_total(tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    page = text(log_in("customer", tenant.key).get(reverse("portal"), {"month": "2026-01"}).content)
    assert "Invoiced 1.23 USD" in page
    assert invoiced in page


def test_the_usage_csv_has_every_day_and_model_with_unrounded_costs(
    tenant: TenantInfo, invoiced: str, log_in: LogIn
) -> None:
    response = log_in("customer", tenant.key).get(reverse("portal-csv"), {"month": "2026-01"})
    assert response["Content-Disposition"] == f'attachment; filename="usage-{tenant.key}-2026-01.csv"'
    [row] = csv.DictReader(io.StringIO(response.content.decode()))
    assert row["day"] == "2026-01-15"
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == ("2", "1234637", "10")
    assert (row["cost"], row["currency"]) == ("1.234597", "USD")


def test_an_invoice_page_has_all_that_reproduces_it(tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    page = text(log_in("customer", tenant.key).get(reverse("portal-invoice", args=[invoiced])).content)
    assert f"Invoice {invoiced}" in page
    assert "1,234,567" in page
    assert "1.234567 0.004567" in page  # exact, then what rounding left out
    assert "1.23 USD" in page
    assert "of failed requests" in page
    assert "not billed" in page
    assert f"manage.py audit_invoice {invoiced}" in page
    assert re.search(r"Usage as of 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \(seal \d+\)", page)
    assert re.search(r"version \d+", page)


def test_finance_sees_everybodys_invoices_with_totals(tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    page = text(log_in("finance").get(reverse("invoices")).content)
    assert invoiced in page
    assert tenant.key in page
    assert "1 listed 1.23 USD 0.00 USD 1.23 USD" in page


def test_the_invoice_csv_has_exact_amounts(tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    response = log_in("customer", tenant.key).get(reverse("portal-invoices-csv"))
    [row] = csv.DictReader(io.StringIO(response.content.decode()))
    assert (row["number"], row["tenant"], row["total"], row["currency"]) == (invoiced, tenant.key, "1.23", "USD")


def test_no_invoice_yet_is_said_with_what_to_do(tenant: TenantInfo, log_in: LogIn) -> None:
    assert b"No invoice yet" in log_in("customer", tenant.key).get(reverse("portal-invoices")).content
    assert b"close_period --all" in log_in("finance").get(reverse("invoices")).content


def test_a_name_that_a_spreadsheet_would_run_is_defused(tenant: TenantInfo, prices: None, log_in: LogIn) -> None:
    now = datetime.now(UTC)
    insert_requests(tenant.key, {"id": "1", "time": now, "ingested_at": now, "model": "=HYPERLINK(1)"})
    [row] = csv.DictReader(io.StringIO(log_in("customer", tenant.key).get(reverse("portal-csv")).content.decode()))
    assert row["model"] == "'=HYPERLINK(1)"


def test_the_months_on_offer_go_back_a_year_and_include_the_chosen_one() -> None:
    current = chosen(None, NOVEMBER)
    assert current.key == "2026-11"
    assert current.is_current
    assert [month.key for month in offered(current, NOVEMBER)][::12] == ["2026-11", "2025-11"]
    old = chosen("2023-11", NOVEMBER)
    assert offered(old, NOVEMBER)[-1] == old


def test_the_days_of_a_month_end_today() -> None:
    assert len(days(chosen("2026-10", NOVEMBER).period, NOVEMBER)) == 31
    november = days(chosen("2026-11", NOVEMBER).period, NOVEMBER)
    assert november[-1] == datetime(2026, 11, 23, tzinfo=UTC)
    midnight = datetime(2026, 11, 1, tzinfo=UTC)
    assert days(chosen("2026-11", midnight).period, midnight) == []
