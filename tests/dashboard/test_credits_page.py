"""The pages of credit."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import credit_reading, top_ups
from dashboard import credits as page
from metering.contracts import TenantInfo
from metering.public import ClickHouseUnavailable
from tests.billing.credit import D, applied, bought, charges, given, line
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests

pytestmark = pytest.mark.django_db


def shown(log_in: LogIn, tenant: TenantInfo) -> str:
    answer = log_in("customer", tenant.key).get(reverse("portal-credits"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_customer_sees_what_is_left_and_what_became_of_the_rest(tenant: TenantInfo, log_in: LogIn) -> None:
    given(tenant, "30", name="Launch <credit>", expires_at=datetime(2999, 1, 1, tzinfo=UTC), models_covered=["m"])
    bought(tenant, "50")
    one = charges(tenant, line("12.50"))
    applied(one)
    html = shown(log_in, tenant)
    assert "67.50 <small>USD" in html
    assert "17.50 promotional, 50.00 prepaid" in html
    assert "Launch &lt;credit&gt;" in html
    assert "2999-01-01 00:00:00 UTC" in html
    assert f"invoice {one.number}" in html
    assert "\N{MINUS SIGN}12.50" in html


def test_without_credit_the_page_says_where_it_would_come_from(tenant: TenantInfo, log_in: LogIn) -> None:
    assert "No credit yet" in shown(log_in, tenant)
    assert "grant_credit" not in shown(log_in, tenant)
    staff = log_in("finance").get(reverse("customer-credits", args=[tenant.key])).content.decode()
    assert f"grant_credit --tenant {tenant.key}" in staff


def test_how_long_credit_lasts_at_the_pace_of_the_last_days(tenant: TenantInfo, prices: None, log_in: LogIn) -> None:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=back, hours=12) for back in range(4)]  # the last four whole days
    insert_requests(
        tenant.key,
        *(
            {"id": str(n), "time": at, "ingested_at": at, "model": "m", "input_tokens": 2_000_000, "output_tokens": 0}
            for n, at in enumerate(days)
        ),
    )
    bought(tenant, "50")
    outlook = credit_reading.credit_outlook(tenant)
    # Billing begins with the month that the tenant came in.
    open_days = sum(at >= midnight.replace(day=1) for at in days)
    assert (outlook.day_cost, outlook.days, outlook.unbilled) == (D("2.00"), 4, D("2.00") * open_days)
    assert outlook.used_up_on == midnight + timedelta(days=25 - open_days)
    html = shown(log_in, tenant)
    assert "the mean of the last 4 days" in html
    assert f"{outlook.used_up_on:%b %Y}" in html


def test_a_rule_of_top_ups_and_the_invoice_that_waits_are_shown(tenant: TenantInfo, log_in: LogIn) -> None:
    top_ups.save_rule(tenant.key, threshold=D("20"), amount=D("100"), actor="ada")
    (invoice,) = top_ups.top_up_due()
    html = shown(log_in, tenant)
    assert "20.00 USD" in html
    assert "100.00 USD" in html
    assert reverse("portal-invoice", args=[invoice.number]) in html


def test_another_customers_credit_is_never_shown(tenant: TenantInfo, other: TenantInfo, log_in: LogIn) -> None:
    given(tenant, "12345", name="A secret deal")
    client = log_in("customer", other.key)
    for name in ("portal-credits", "portal-credits-csv"):
        answer = client.get(reverse(name), {"tenant": tenant.key, "key": tenant.key})
        assert answer.status_code == 200
        assert "A secret deal" not in answer.content.decode()
    for name in ("customer-credits", "customer-credits-csv"):
        assert client.get(reverse(name, args=[tenant.key])).status_code == 403
    assert client.get(reverse("credits")).status_code == 403


def test_finance_sees_everybodys_balances_and_each_customers_page(
    tenant: TenantInfo, other: TenantInfo, log_in: LogIn
) -> None:
    given(tenant, "30"), bought(other, "50")
    client = log_in("finance")
    html = client.get(reverse("credits")).content.decode()
    assert {reverse("customer-credits", args=[one.key]) in html for one in (tenant, other)} == {True}
    assert client.get(reverse("customer-credits", args=[tenant.key])).status_code == 200
    assert client.get(reverse("customer-credits", args=["nobody"])).status_code == 404


def test_the_ledger_goes_on_over_pages_and_whole_into_csv(
    tenant: TenantInfo, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", 2)
    for amount in ("1", "2", "3"):
        given(tenant, amount, name=f"grant of {amount}")
    client = log_in("customer", tenant.key)
    first = client.get(reverse("portal-credits"))
    assert "?before=" in first.content.decode()
    second = client.get(reverse("portal-credits"), {"before": first.context["older"]})
    assert [one.grant_name for one in second.context["entries"]] == ["grant of 1"]
    for odd in ("x", "-1", "9" * 40):
        assert client.get(reverse("portal-credits"), {"before": odd}).status_code == 200
    lines = client.get(reverse("portal-credits-csv")).content.decode().splitlines()
    assert (len(lines), lines[0].split(",")[:3]) == (4, ["transaction", "at", "tenant"])


def test_what_is_held_is_shown_while_usage_cannot_be_read(
    tenant: TenantInfo, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(tenant, "30")

    def away(*_: object) -> None:
        raise ClickHouseUnavailable("nobody answers")

    monkeypatch.setattr(page, "credit_outlook", away)
    answer = log_in("customer", tenant.key).get(reverse("portal-credits"))
    assert answer.status_code == 503
    assert "30.00 <small>USD" in answer.content.decode()
