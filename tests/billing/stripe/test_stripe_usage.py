"""Usage for Stripe's meters: each hour once, late usage as a difference, and what Stripe no longer takes listed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from billing import stripe_reconciliation, stripe_usage
from billing.models import StripeDifference, StripeTask, StripeUsagePush
from metering import public as metering
from metering.models import IngestHost
from tests.billing.conftest import Use
from tests.billing.stripe.desk import Desk

KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")
HOUR = timedelta(hours=1)


@pytest.fixture
def metered(desk: Desk, settled: datetime, use: Use) -> Callable[..., int]:
    """`metered(id=..., time=..., output_tokens=...)`: an event arrives, is sealed, and handed over."""
    metering.create_tenant(desk.tenant)
    customer = desk.customer("stripe_meter")
    desk.stripe_customer = customer.stripe_customer
    for kind in KINDS:
        desk.account.meter(f"tallywatt_{kind}")

    arrivals = count(1)
    first = (datetime.now(UTC) - 2 * HOUR).replace(minute=0, second=0, microsecond=0)

    def arrive(id: str, time: datetime, **more: object) -> int:
        at = first + timedelta(minutes=next(arrivals))
        use(desk.tenant, {"id": id, "time": time, "ingested_at": at} | more)
        IngestHost.objects.update(settled_before=at + timedelta(seconds=30), published_at=datetime.now(UTC))
        metering.seal_everything_before(at + timedelta(seconds=30), wait_s=5)
        planned = stripe_usage.plan_pushes(desk.now)
        desk.work()
        return planned

    return arrive


def counted(desk: Desk, kind: str) -> Decimal:
    return desk.account.counted(f"tallywatt_{kind}", desk.stripe_customer)


def hours_ago(desk: Desk, hours: float) -> datetime:
    return (desk.now - timedelta(hours=hours)).replace(minute=5, second=0, microsecond=0)


def test_every_billed_token_is_counted_once_by_kind_and_hour(desk: Desk, metered) -> None:
    tokens = {
        "input_tokens": 100,
        "cached_input_tokens": 30,
        "cache_write_tokens": 5,
        "output_tokens": 50,
        "reasoning_tokens": 20,
    }
    assert metered("a", hours_ago(desk, 5), **tokens) == 5
    assert [counted(desk, kind) for kind in KINDS] == [65, 30, 5, 30, 20]
    assert {row["timestamp"] % 3600 for row in desk.account.usage} == {0}
    assert stripe_usage.plan_pushes(desk.now) == 0


def test_what_failed_is_not_counted(desk: Desk, metered) -> None:
    assert metered("a", hours_ago(desk, 5), status="error") == 0


def test_late_usage_is_another_event_with_the_difference(desk: Desk, metered) -> None:
    hour = hours_ago(desk, 5)
    metered("a", hour, input_tokens=100, output_tokens=10)
    assert metered("b", hour + timedelta(minutes=10), input_tokens=7, output_tokens=0) == 1
    assert (counted(desk, "input"), counted(desk, "output")) == (107, 10)
    assert [row.value for row in StripeUsagePush.objects.filter(meter="tallywatt_input").order_by("pk")] == [100, 7]


def test_a_lost_answer_counts_once(desk: Desk, metered) -> None:
    desk.standin.fail("drop", "/v1/billing/meter_events")
    metered("a", hours_ago(desk, 5), input_tokens=100, output_tokens=0)
    assert StripeTask.objects.get().state == StripeTask.State.WAITING
    desk.later(minutes=1)
    assert counted(desk, "input") == 100
    assert StripeTask.objects.get().state == StripeTask.State.DONE


def test_after_stripe_has_forgotten_the_identifier_its_count_is_read_first(desk: Desk, metered) -> None:
    desk.standin.fail("drop", "/v1/billing/meter_events")
    metered("a", hours_ago(desk, 5), input_tokens=100, output_tokens=0)
    desk.later(hours=30)
    assert counted(desk, "input") == 100
    assert StripeTask.objects.get().state == StripeTask.State.DONE


def test_stripe_down_for_a_day_loses_no_hour(desk: Desk, metered) -> None:
    desk.standin.fail("down")
    for n in range(3):
        metered(str(n), hours_ago(desk, 9 - n), input_tokens=100, output_tokens=0)
    for _ in range(24):
        desk.later(hours=1)
    assert counted(desk, "input") == 0
    desk.standin.recover()
    for _ in range(3):
        desk.later(hours=1)
    assert counted(desk, "input") == 300


def test_usage_that_stripe_no_longer_takes_is_a_difference(desk: Desk, metered) -> None:
    metered("a", hours_ago(desk, 5), input_tokens=100, output_tokens=0)
    old = hours_ago(desk, 34 * 24)
    desk.standin.offset_s += 3 * 86400
    assert metered("b", old, input_tokens=9, output_tokens=0) == 0
    stripe_reconciliation.reconcile(desk.now)
    row = StripeDifference.objects.get(kind="usage")
    assert (row.field, row.our_value, row.stripe_value) == ("older than Stripe takes", "9", "0")


def test_what_stripe_counted_otherwise_is_a_difference(desk: Desk, metered) -> None:
    metered("a", hours_ago(desk, 5), input_tokens=100, output_tokens=0)
    desk.standin.offset_s += 2 * 86400
    stripe_reconciliation.reconcile(desk.now)
    assert not StripeDifference.objects.exists()
    desk.account.usage[0]["payload"]["value"] = "90"
    stripe_reconciliation.reconcile(desk.now)
    row = StripeDifference.objects.get()
    assert (row.our_value, row.stripe_value) == ("100", "90")


def test_what_an_invoice_of_ours_has_billed_is_not_handed_over(desk: Desk, metered) -> None:
    invoice = desk.invoice(start=hours_ago(desk, 24 * 40))
    assert metered("a", invoice.period_end - HOUR, input_tokens=100, output_tokens=0) == 0
    assert metered("b", invoice.period_end + HOUR, input_tokens=7, output_tokens=0) == 1
    assert counted(desk, "input") == 7


def test_a_meter_that_stripe_does_not_have_is_refused_and_listed(desk: Desk, metered, settings) -> None:
    settings.STRIPE_METER_NAME = "{model}-{kind}"
    metered("a", hours_ago(desk, 5), input_tokens=100, output_tokens=0)
    task = StripeTask.objects.get()
    assert task.state == StripeTask.State.REFUSED
    assert "m-input" in task.error
    stripe_reconciliation.reconcile(desk.now)
    assert StripeDifference.objects.filter(kind="task").exists()
