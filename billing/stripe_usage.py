"""Usage for Stripe's meters, where Stripe makes the invoices: each hour once, and what comes late as another event with the difference.

The hours are the ledger's, as of a seal. What is handed over is written down with the task that brings it, in one transaction; an event's
identifier derives from tenant, meter, hour and seal, so that Stripe counts it once however often it is sent.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Sum

from billing import rating, stripe_customers, stripe_gateway, stripe_tasks
from billing.models import Customer, Invoice, StripeTask, StripeUsagePush, StripeUsageStart
from billing.rating.kinds import Tokens, partition
from billing.stripe_differences import Difference
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import DONE, PUSH_USAGE, Outcome
from billing.stripe_values import StripeRefused
from metering import public as metering
from metering.contracts import SealInfo, UsageRow

TAKEN_BACK = timedelta(days=35)  # Stripe refuses events that are older
MARGIN = timedelta(hours=6)  # for the task that brings it
KNOWN_FOR = timedelta(hours=23)  # for 24 h Stripe remembers an identifier
HOUR = timedelta(hours=1)
CHUNK = timedelta(days=7)  # hours of one question to the ledger
GROUPS = ("model", "tier", "status")
DUPLICATE = "duplicate_meter_event"
LONGEST_NAME = 100

Slot = tuple[str, datetime]  # an event's name, and the hour


def plan_pushes(now: datetime) -> int:
    """Hand over what the ledger has and Stripe was not given, of every customer that its meters bill. How many events."""
    seal = metering.latest_seal()
    if seal is None or not stripe_gateway.enabled():
        return 0
    customers = Customer.objects.filter(collection=Customer.Collection.STRIPE_METER).order_by("tenant")
    return sum(_plan(customer, seal, now) for customer in customers)


def push(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Bring one event. One that Stripe has already is done."""
    row = StripeUsagePush.objects.get(identifier=task.ours)
    customer = Customer.objects.get(tenant=row.tenant)
    stripe_customer = stripe_customers.ensure(gateway, customer, now, found=task.tries > 1)
    if now - datetime.fromisoformat(task.detail["first_tried_at"]) > KNOWN_FOR:
        doubt = _counted_before(row, stripe_customer, gateway)
        if doubt is not None:
            return doubt
    fields = {
        "event_name": row.meter,
        "identifier": row.identifier,
        "timestamp": int(row.hour.timestamp()),
        "payload": {"stripe_customer_id": stripe_customer, "value": rating.plain(row.value)},
    }
    try:
        gateway.push_usage(fields, row.identifier)
    except StripeRefused as refusal:
        if refusal.code != DUPLICATE:
            raise
    return DONE


def differences(gateway: Gateway, now: datetime) -> list[Difference]:
    """What Stripe's meters cannot be given, or have not counted as it was given."""
    seal = metering.latest_seal()
    found = []
    meters = gateway.meters() if seal is not None else {}
    for start in StripeUsageStart.objects.order_by("tenant"):
        if seal is not None:
            found += _too_late(start, seal, now)
        customer = Customer.objects.filter(tenant=start.tenant).exclude(stripe_customer="").first()
        if customer is not None:
            found += _miscounted(customer, meters, gateway, now)
    return found


def event_name(row: UsageRow, kind: str) -> str:
    """The meter that a row's tokens of this kind belong to."""
    named = settings.STRIPE_METER_NAME.format(kind=kind, model=row.model, tier=row.tier)
    return str(named)[:LONGEST_NAME]


def identifier(tenant: str, meter: str, hour: datetime, seal: int) -> str:
    said = "|".join((stripe_tasks.installation(), tenant, meter, f"{hour:%Y%m%dT%H}", str(seal)))
    return f"tallywatt-{hashlib.sha256(said.encode()).hexdigest()[:40]}"


def _plan(customer: Customer, seal: SealInfo, now: datetime) -> int:
    since = max(_since(customer, now), oldest(now))
    used = _used(customer.tenant, since, _hour(seal.watermark), seal)
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=customer.pk)  # one planner at a time
        pushes = StripeUsagePush.objects.filter(tenant=customer.tenant)
        if (pushes.aggregate(newest=Max("seal"))["newest"] or 0) > seal.id:
            return 0  # another process has seen more than we have
        given = _given(customer.tenant, since)
        fresh = [
            StripeUsagePush(
                tenant=customer.tenant,
                meter=meter,
                hour=hour,
                seal=seal.id,
                value=value - given.get((meter, hour), Decimal(0)),
                identifier=identifier(customer.tenant, meter, hour, seal.id),
            )
            for (meter, hour), value in sorted(used.items())
            if value > given.get((meter, hour), Decimal(0))
        ]
        StripeUsagePush.objects.bulk_create(fresh, batch_size=1000)
        tasks = (StripeTask(action=PUSH_USAGE, ours=row.identifier, next_at=now, detail={}) for row in fresh)
        StripeTask.objects.bulk_create(tasks, batch_size=1000)
    return len(fresh)


def oldest(now: datetime) -> datetime:
    """The first hour that Stripe still takes."""
    return _hour(now - TAKEN_BACK + MARGIN) + HOUR


def _since(customer: Customer, now: datetime) -> datetime:
    """Where Stripe's part begins: after the last period that an invoice of ours has billed, else as far back as Stripe goes."""
    row = StripeUsageStart.objects.filter(tenant=customer.tenant).first()
    if row is None:
        billed = Invoice.objects.filter(tenant=customer.tenant, kind=Invoice.Kind.USAGE, finalised_at__isnull=False)
        until: datetime | None = billed.aggregate(until=Max("period_end"))["until"]
        since = _hour(until + HOUR - timedelta(seconds=1)) if until else oldest(now)
        row, _ = StripeUsageStart.objects.get_or_create(tenant=customer.tenant, defaults={"since": since})
    return row.since


def _used(tenant: str, start: datetime, end: datetime, seal: SealInfo) -> dict[Slot, Decimal]:
    used: defaultdict[Slot, Decimal] = defaultdict(Decimal)
    while start < end:
        until = min(start + CHUNK, end)
        rows = metering.sealed_usage(start, until, tenant=tenant, group_by=GROUPS, window="hour", as_of=seal)
        for slot, value in _slots(rows):
            used[slot] += value
        start = until
    return dict(used)


def _slots(rows: Iterable[UsageRow]) -> Iterable[tuple[Slot, Decimal]]:
    """What each row gives to each meter: every billed token once."""
    for row in rows:
        if row.status in rating.NOT_BILLED:
            continue
        tokens = Tokens(
            row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens, row.reasoning_tokens
        )
        for kind, quantity in partition(tokens).items():
            if quantity:
                yield (event_name(row, kind), row.window_start), Decimal(quantity)


def _given(tenant: str, since: datetime) -> dict[Slot, Decimal]:
    rows = StripeUsagePush.objects.filter(tenant=tenant, hour__gte=since).values("meter", "hour")
    return {(row["meter"], row["hour"]): row["given"] for row in rows.annotate(given=Sum("value"))}


def _counted_before(row: StripeUsagePush, customer: str, gateway: Gateway) -> Outcome | None:
    """Whether an earlier try counted, now that Stripe has forgotten the identifier. None: it did not, so it can be sent again."""
    meter = gateway.meters().get(row.meter)
    if meter is None:
        return Outcome(refused=True, error=f"Stripe has no active meter for events {row.meter!r}")
    there = Decimal(gateway.metered(meter, customer, row.hour, row.hour + HOUR))
    others = StripeUsagePush.objects.filter(tenant=row.tenant, meter=row.meter, hour=row.hour).exclude(pk=row.pk)
    done = StripeTask.objects.filter(action=PUSH_USAGE, state=StripeTask.State.DONE).values("ours")
    before = others.filter(identifier__in=done).aggregate(sum=Sum("value"))["sum"] or Decimal(0)
    if there == before:
        return None
    if there == before + row.value:
        return DONE
    counted = (
        f"Stripe counted {there} of {row.meter} in {row.hour:%Y-%m-%d %H}Z, given were {before} or {before + row.value}"
    )
    return Outcome(refused=True, error=counted)


def _too_late(start: StripeUsageStart, seal: SealInfo, now: datetime) -> list[Difference]:
    """Usage of hours that Stripe does not take any more, and of which it was given less, or more."""
    until = min(oldest(now), _hour(seal.watermark))
    if start.since >= until:
        return []
    rows = metering.sealed_usage(start.since, until, tenant=start.tenant, group_by=GROUPS, window="total", as_of=seal)
    used: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (meter, _), value in _slots(rows):
        used[meter] += value
    given = StripeUsagePush.objects.filter(tenant=start.tenant, hour__gte=start.since, hour__lt=until).values("meter")
    sums = {row["meter"]: row["given"] for row in given.annotate(given=Sum("value"))}
    return [
        Difference(
            "usage",
            f"{start.tenant} {meter}",
            "older than Stripe takes",
            rating.plain(value),
            rating.plain(sums.get(meter, Decimal(0))),
        )
        for meter, value in sorted(used.items())
        if value != sums.get(meter, Decimal(0))
    ]


def _miscounted(customer: Customer, meters: dict[str, str], gateway: Gateway, now: datetime) -> list[Difference]:
    """What was brought a day ago and more, against what Stripe has counted since."""
    done = StripeTask.objects.filter(
        action=PUSH_USAGE, state=StripeTask.State.DONE, done_at__lt=now - timedelta(days=1)
    )
    pushes = StripeUsagePush.objects.filter(
        tenant=customer.tenant, hour__gte=oldest(now), identifier__in=done.values("ours")
    )
    found = []
    for row in (
        pushes.values("meter").annotate(given=Sum("value"), first=Min("hour"), last=Max("hour")).order_by("meter")
    ):
        spans = pushes.model.objects.filter(
            tenant=customer.tenant, meter=row["meter"], hour__gte=row["first"], hour__lte=row["last"]
        )
        given = spans.aggregate(sum=Sum("value"))["sum"]
        if given != row["given"]:
            continue  # newer events fall into these hours: the next night compares them
        meter = meters.get(row["meter"])
        there = (
            Decimal(gateway.metered(meter, customer.stripe_customer, row["first"], row["last"] + HOUR))
            if meter
            else None
        )
        if there != given:
            counted = rating.plain(there) if there is not None else "no active meter"
            found.append(
                Difference("usage", f"{customer.tenant} {row['meter']}", "counted", rating.plain(given), counted)
            )
    return found


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
