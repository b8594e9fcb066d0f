"""Every invoice line can be taken apart into hours and requests, and the parts add up to it, to the cent."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import drilldown, pricebook
from billing.closing import close_period
from billing.drilldown import NotUsage, Share, UnknownLine
from billing.models import Invoice, InvoiceLine
from billing.periods import month
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, Terms
from billing.stored import UnknownInvoice
from metering.clickhouse import client
from metering.contracts import TenantInfo
from tests.billing.agreed import contract
from tests.billing.conftest import NOON, Use, close
from tests.billing.late import use_late

pytestmark = pytest.mark.usefixtures("settled", "prices")

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
D = Decimal
FEBRUARY = month("2026-02")


def invoice_of(tenant: TenantInfo) -> Invoice:
    closed = close(tenant)[0]
    assert closed.number, closed.problems
    return Invoice.objects.get(number=closed.number)


def line_of(invoice: Invoice, kind: str, **other: Any) -> InvoiceLine:
    return invoice.lines.get(kind=kind, **other)


def pages(line: InvoiceLine, **ask: Any) -> list[drilldown.RequestShare]:
    """All requests of a line, page by page."""
    found: list[drilldown.RequestShare] = []
    after = None
    while True:
        page = drilldown.requests(line.invoice.number, line.position, after=after, **ask)
        found += page.requests
        after = page.after
        if after is None:
            return found
        assert len(page.requests) == ask.get("limit", 100)


def sums(parts: Iterable[Share | drilldown.RequestShare]) -> tuple[Decimal, Decimal]:
    every = list(parts)
    return sum((one.amount for one in every), D(0)), sum((one.amount_exact for one in every), D(0))


def check(line: InvoiceLine, **ask: Any) -> list[drilldown.RequestShare]:
    """Hours and requests of the line add up to it and to each other, and no part is a unit away from its exact share."""
    found = drilldown.hours(line.invoice.number, line.position)
    assert found.missing == 0
    assert sums(found.hours) == (line.amount, line.amount_exact)
    assert sum(one.quantity for one in found.hours) == line.quantity
    requests = pages(line, **ask)
    for hour in found.hours:
        inside = [one for one in requests if hour.start <= one.request.time < hour.end]
        assert sums(inside) == (hour.amount, hour.amount_exact)
        assert sum(one.request.quantity for one in inside) == hour.quantity
        assert len(inside) <= hour.requests
        assert abs(hour.residual) < D("0.01")
        assert pages(line, hour=hour.start) == inside
    order = [one.request.position for one in requests]
    assert order == sorted(set(order))
    return requests


def test_the_cents_of_a_line_go_to_its_hours_by_largest_remainder(tenant: TenantInfo, use: Use) -> None:
    # 0.15 USD for a million: 0.015, 0.03 and 0.0225 USD, together 0.0675, which is 7 cents.
    use(
        tenant.key,
        {"input_tokens": 100_000, "output_tokens": 0},
        {"input_tokens": 200_000, "output_tokens": 0, "time": NOON + HOUR},
        {"input_tokens": 150_000, "output_tokens": 0, "time": NOON + 5 * HOUR},
    )
    line = line_of(invoice_of(tenant), "input")
    assert line.amount == D("0.07")
    found = drilldown.hours(line.invoice.number, line.position)
    # Of 7 cents the exact shares are 1.56, 3.11 and 2.33.
    assert [(one.start, one.quantity, one.amount_exact, one.amount) for one in found.hours] == [
        (NOON, 100_000, D("0.015"), D("0.02")),
        (NOON + HOUR, 200_000, D("0.03"), D("0.03")),
        (NOON + 5 * HOUR, 150_000, D("0.0225"), D("0.02")),
    ]
    assert [one.residual for one in found.hours] == [D("-0.005"), D("0"), D("0.0025")]


def test_every_line_of_an_invoice_adds_up_page_by_page(tenant: TenantInfo, use: Use) -> None:
    rows = [
        {
            "id": f"r-{n}",
            "time": NOON + n * 7 * SECOND + (n % 3) * 9 * HOUR,
            "input_tokens": 1000 + 37 * n,
            "cached_input_tokens": 11 * (n % 5),
            "output_tokens": 100 + n,
            "reasoning_tokens": n % 4,
            "status": "error" if n % 50 == 0 else "ok",
            "source": f"s-{n % 2}",
        }
        for n in range(150)
    ]
    use(tenant.key, *rows)
    invoice = invoice_of(tenant)
    lines = list(invoice.lines.all())
    assert {line.kind for line in lines} == {"input", "cached_input", "output", "reasoning"}
    for line in lines:
        check(line, limit=7)
    not_billed = line_of(invoice, "input", billed=False)
    assert {one.request.id for one in pages(not_billed)} == {"r-0", "r-50", "r-100"}
    assert {one.amount for one in pages(not_billed)} == {D(0)}


def test_a_request_that_has_nothing_of_the_line_is_not_in_it(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a", "cached_input_tokens": 50}, {"id": "b"})
    line = line_of(invoice_of(tenant), "cached_input")
    assert [(one.request.id, one.request.quantity) for one in check(line)] == [("a", 50)]


def test_a_price_change_within_the_hour_keeps_the_two_lines_apart(tenant: TenantInfo, use: Use) -> None:
    changed = NOON + 30 * MINUTE
    pricebook.set_price(model="m", kind="input", per_million=D("0.30"), currency="USD", effective_from=changed)
    use(tenant.key, {"id": "a", "time": changed - SECOND}, {"id": "b", "time": changed})
    invoice = invoice_of(tenant)
    before, after = invoice.lines.filter(kind="input").order_by("start")
    assert [one.request.id for one in check(before)] == ["a"]
    assert [one.request.id for one in check(after)] == ["b"]


def test_lines_by_operation_region_and_context_have_their_own_requests(tenant: TenantInfo, use: Use) -> None:
    for matchers, price in (
        ({"context_over": 200_000}, "0.30"),
        ({"operation": "embedding"}, "0.01"),
        ({"region": "eu"}, "0.20"),
    ):
        pricebook.set_price(model="m", kind="input", per_million=D(price), currency="USD", **matchers)
    use(
        tenant.key,
        {"id": "plain", "region": "us"},
        {"id": "long", "input_tokens": 300_000, "region": "eu"},
        {"id": "embedded", "operation": "embedding", "region": "eu"},
        {"id": "near", "region": "eu"},
        {"id": "edge", "input_tokens": 200_000, "region": "us"},
    )
    invoice = invoice_of(tenant)
    found = {
        (line.context_over, line.operation, line.region): {one.request.id for one in check(line)}
        for line in invoice.lines.filter(kind="input")
    }
    assert found == {
        (0, "", ""): {"plain", "edge"},
        (200_000, "", ""): {"long"},
        (0, "embedding", ""): {"embedded"},
        (0, "", "eu"): {"near"},
    }


def test_usage_that_is_included_is_shared_out_in_proportion(tenant: TenantInfo, use: Use) -> None:
    included = Allowance("free", "m", "input", "", D(100_000))
    discount = Discount("friend", "Friends", AppliesTo.USAGE, share=D("0.5"))
    fee = FlatFee("base", "Base fee", D(10))
    contract(tenant.key, date(2026, 1, 1), Terms(allowances=(included,), discounts=(discount,), flat_fees=(fee,)))
    use(tenant.key, {"input_tokens": 300_000}, {"input_tokens": 100_000, "time": NOON + HOUR})
    invoice = invoice_of(tenant)
    line = line_of(invoice, "input")
    assert (line.amount_exact, line.included) == (D("0.045"), D(100_000))
    check(line)
    assert [one.amount_exact for one in drilldown.hours(invoice.number, line.position).hours] == [
        D("0.03375"),
        D("0.01125"),
    ]
    for other in invoice.lines.exclude(type="usage"):
        with pytest.raises(NotUsage, match="it is not made of requests"):
            drilldown.hours(invoice.number, other.position)


def test_an_adjustment_is_made_of_what_arrived_late(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a", "input_tokens": 1_000_000})
    january = invoice_of(tenant)
    use_late(
        use,
        tenant.key,
        {"id": "late", "input_tokens": 333_333},
        {"id": "later", "input_tokens": 333_334, "time": NOON + HOUR},
        {"id": "a", "input_tokens": 1_000_000},
        {"id": "b", "time": FEBRUARY.start},
    )
    closed = close_period(FEBRUARY, [tenant], wait_s=5)[0]
    assert closed.number, closed.problems
    second = Invoice.objects.get(number=closed.number)
    line = line_of(second, "input", type="adjustment")
    assert (line.origin, line.quantity, line.amount) == (january, D(666_667), D("0.10"))
    assert [one.request.id for one in check(line)] == ["late", "later"]
    assert [one.request.id for one in check(line_of(second, "input", type="usage"))] == ["b"]
    assert [one.request.id for one in check(line_of(january, "input"))] == ["a"]


def test_what_came_after_the_watermark_is_in_no_part(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"}, {"id": "a", "ingested_at": NOON + SECOND})
    line = line_of(invoice_of(tenant), "input")
    before = check(line)
    use_late(use, tenant.key, {"id": "late"}, {"id": "a"})
    assert check(line) == before


def test_a_ledger_that_was_tampered_with_is_told(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"})
    line = line_of(invoice_of(tenant), "input")
    sql = "ALTER TABLE usage_ledger UPDATE input_tokens = 60 WHERE tenant = %(t)s"
    client.statement("test", sql, {"t": tenant.key}, settings={"mutations_sync": 1})
    assert drilldown.hours(line.invoice.number, line.position).missing == 40


def test_unknown_invoices_and_lines_and_other_tenants_are_refused(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"})
    number = invoice_of(tenant).number
    with pytest.raises(UnknownLine):
        drilldown.hours(number, 99)
    for named, owner in (("TW-1999-000001", tenant.key), (number, "another"), ("\x00", None)):
        with pytest.raises(UnknownInvoice):
            drilldown.requests(named, 1, owner)


def test_an_hour_of_a_zone_with_quarters_is_cut_where_the_period_is(tenant: TenantInfo, use: Use) -> None:
    contract(tenant.key, date(2026, 1, 1), time_zone="Asia/Kathmandu", anchor_day=1)
    start = datetime(2025, 12, 31, 18, 15, tzinfo=UTC)
    use(tenant.key, {"id": "first", "time": start}, {"id": "before", "time": start - SECOND})
    closed = {one.period_start: one for one in Invoice.objects.filter(pk__in=[invoice_of(tenant).pk])}
    line = line_of(closed[start], "input")
    assert [one.request.id for one in check(line)] == ["first"]
