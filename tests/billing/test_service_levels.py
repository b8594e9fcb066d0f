"""What a contract promises is measured on the tenant's own requests; what was missed is credited, with the evidence on the line."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import audit, pricebook, rerating, service_levels, usage
from billing.models import Invoice, InvoiceLine
from billing.rating.terms import AppliesTo, Discount, FlatFee, Measure, Objective, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import change, contract
from tests.billing.conftest import NOON, Use, close
from tests.billing.late import use_late

pytestmark = pytest.mark.usefixtures("settled", "prices")

D = Decimal
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TTFT = Objective("ttft", Measure.TTFT_P95_MS, "m", D(500), D("0.1"), least_requests=10)
UP = Objective("up", Measure.AVAILABILITY, "m", D("0.99"), D("0.25"), least_requests=10)


def promised(tenant: TenantInfo, *objectives: Objective, **terms: Any) -> str:
    return contract(tenant.key, date(2026, 1, 1), Terms(objectives=objectives, **terms)).number


def used(use: Use, tenant: TenantInfo, *latencies: float | None, **other: Any) -> None:
    """A request of a million tokens of input (0.15 USD) for each latency."""
    rows = [{"ttft_ms": ms, "input_tokens": 1_000_000, "output_tokens": 0} | other for ms in latencies]
    use(tenant.key, *({"id": f"{other.get('model', 'm')}-{n}-{other.get('time')}"} | row for n, row in enumerate(rows)))


def invoice_of(tenant: TenantInfo) -> Invoice:
    closed = close(tenant)[0]
    assert closed.number, closed.problems
    return Invoice.objects.get(number=closed.number)


def credits_on(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.filter(type="service_credit"))


def test_a_missed_percentile_gives_its_share_of_what_the_model_cost(tenant: TenantInfo, use: Use) -> None:
    promised(tenant, TTFT)
    used(use, tenant, *[100.0] * 18, 600.5, 700.0)  # of 20 the 19th is the 95th percentile
    used(use, tenant, 9000.0, model="other-model")
    pricebook.set_price(model="other-model", kind="input", per_million=D(1), currency="USD")
    (line,) = credits_on(invoice_of(tenant))
    assert (line.amount, line.amount_exact, line.model, line.kind) == (D("-0.30"), D("-0.3"), "m", "ttft_p95_ms")
    assert line.explanation == (
        "p95 time to first token of m was 600.5 ms over 20 requests, above 500 ms: 10 % of 3 USD"
    )
    assert (line.detail["value"], line.detail["threshold"], line.detail["requests"]) == ("600.5", "500", 20)
    assert line.detail["base"] == "3"
    assert line.detail["spans"] == [["2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]]


@pytest.mark.parametrize(
    ("latencies", "missed"),
    [
        ([500.0] * 20, False),  # not above is kept
        ([100.0] * 19 + [9000.0], False),
        ([100.0] * 18 + [500.01] * 2, True),
        ([9000.0] * 9, False),  # too few say nothing
        ([9000.0] * 10, True),
        ([None] * 20, False),
        ([None] * 20 + [9000.0] * 9, False),
    ],
)
def test_a_promise_is_missed_above_its_threshold_and_on_enough_requests(
    tenant: TenantInfo, use: Use, latencies: list[float | None], missed: bool
) -> None:
    promised(tenant, TTFT)
    used(use, tenant, *latencies)
    assert len(credits_on(invoice_of(tenant))) == missed


@pytest.mark.parametrize(("failed", "missed"), [(1, False), (2, True)])
def test_availability_counts_every_request_and_is_missed_below_its_share(
    tenant: TenantInfo, use: Use, failed: int, missed: bool
) -> None:
    promised(tenant, UP)
    used(use, tenant, *[None] * (100 - failed))
    used(use, tenant, *[None] * failed, status="error", time=NOON + HOUR)
    found = credits_on(invoice_of(tenant))
    assert len(found) == missed
    if missed:
        assert found[0].amount == D("-3.68")  # a quarter of 98 x 0.15 = 14.70, half-even
        assert found[0].amount_exact == D("-3.675")
        assert found[0].detail["value"] == "0.98"
        assert found[0].detail["worst_hours"][0] == {
            "hour": "2026-01-15T13:00:00+00:00",
            "value": "0",
            "requests": failed,
        }


def test_the_worst_hours_are_named(tenant: TenantInfo, use: Use) -> None:
    promised(tenant, TTFT)
    for hour, ms in enumerate((600.0, 800.0, 700.0, 900.0)):
        used(use, tenant, *[ms] * 5, time=NOON + hour * HOUR)
    (line,) = credits_on(invoice_of(tenant))
    worst = [(row["hour"][11:16], row["value"], row["requests"]) for row in line.detail["worst_hours"]]
    assert worst == [("15:00", "900", 5), ("13:00", "800", 5), ("14:00", "700", 5)]


def test_the_credit_is_of_what_usage_cost_after_discounts_and_not_of_fees(tenant: TenantInfo, use: Use) -> None:
    half = Discount("half", "Half", AppliesTo.ALL, share=D("0.5"))
    promised(tenant, TTFT, discounts=(half,), flat_fees=(FlatFee("base", "Base", D(100)),))
    used(use, tenant, *[9000.0] * 20)
    (line,) = credits_on(invoice_of(tenant))
    assert line.amount == D("-0.15")  # 10 % of half of 3.00


def test_several_credits_never_come_to_more_than_the_usage_cost(tenant: TenantInfo, use: Use) -> None:
    most = Objective("ttft", Measure.TTFT_P95_MS, "*", D(500), D("0.9"), least_requests=10)
    promised(tenant, most, Objective("up", Measure.AVAILABILITY, "m", D(1), D("0.5"), least_requests=10))
    used(use, tenant, *[9000.0] * 20)
    used(use, tenant, None, status="error", time=NOON + HOUR)
    first, second = credits_on(invoice_of(tenant))
    assert (first.amount, second.amount) == (D("-2.70"), D("-0.30"))
    assert "of which 0.3 USD were left" in second.explanation


def test_a_promise_for_a_part_of_the_period_is_measured_and_credited_for_that_part(
    tenant: TenantInfo, use: Use
) -> None:
    number = promised(tenant)
    change(number, date(2026, 1, 15), Terms(objectives=(TTFT,)))
    change(number, date(2026, 1, 17), Terms())
    used(use, tenant, *[9000.0] * 20, time=NOON - 3 * DAY)
    used(use, tenant, *[700.0] * 10, time=NOON)
    used(use, tenant, *[9000.0] * 20, time=NOON + 3 * DAY)
    (line,) = credits_on(invoice_of(tenant))
    assert (line.detail["value"], line.detail["requests"], line.amount) == ("700", 10, D("-0.15"))
    assert (line.start.day, line.end.day) == (15, 17)


def test_tenants_without_a_promise_are_not_measured(
    tenant: TenantInfo, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing was promised")

    monkeypatch.setattr(metering, "service_figures", refuse)
    contract(tenant.key, date(2026, 1, 1), Terms())
    used(use, tenant, *[9000.0] * 20)
    assert credits_on(invoice_of(tenant)) == []


def test_tenants_are_measured_on_their_own_requests(tenant: TenantInfo, use: Use) -> None:
    other = metering.create_tenant(f"{tenant.key}-other")
    for each, ms in ((tenant, 9000.0), (other, 1.0)):
        promised(each, TTFT)
        used(use, each, *[ms] * 20)
    closed = close(tenant, other)
    invoices = [Invoice.objects.get(number=one.number) for one in closed]
    assert [len(credits_on(invoice)) for invoice in invoices] == [1, 0]


def test_an_audit_makes_the_same_credit_and_late_events_do_not_change_it(tenant: TenantInfo, use: Use) -> None:
    promised(tenant, TTFT)
    used(use, tenant, *[9000.0] * 20)
    invoice = invoice_of(tenant)
    assert audit.audit(invoice.number).differences == ()
    use_late(use, tenant.key, *({"id": f"late-{n}", "ttft_ms": 1.0} for n in range(1000)))
    metering.seal_usage(now=True)
    assert audit.audit(invoice.number).differences == ()
    basis = rerating.bases([invoice])[invoice.pk]
    metered = usage.sealed([tenant.key], basis.cuts(), basis.sheet, rerating.seal_of(invoice))[tenant.key]
    (again,) = service_levels.of_invoice(basis, metered)
    assert (again.amount, again.detail) == (D("-0.30"), credits_on(invoice)[0].detail)
