"""Credit that is bought: an invoice of kind top_up, and a grant once it is paid. By hand, or by a rule when the balance runs low.

A top-up carries no tax: what it buys is taxed when it is used, since credit pays totals after tax. It is numbered, collected and
reminded of like any invoice. A rule has one top-up open at a time, so that a card that is declined is not charged for ever.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from billing import agreements, audit_log, invoice_rows, numbers, parties, rating, settling, stripe_tasks
from billing import credit_ledger as ledger
from billing.contracts import UsageTotals
from billing.credit_costs import Cost, unbilled_cost
from billing.credit_ledger import CreditRefused
from billing.models import CreditGrant, Invoice, InvoiceLine, InvoiceState, InvoiceTax, TopUpRule
from billing.rating import exact
from metering import public as metering
from metering.contracts import TenantInfo

logger = logging.getLogger(__name__)
OPEN = (InvoiceState.Status.OPEN, InvoiceState.Status.PAST_DUE)
NO_TAX_NOTE = "Prepayment: what it pays for is taxed when it is used."
SCHEDULE = "schedule"


@dataclass(frozen=True)
class Standing:
    """What a tenant can still spend: credit that has not expired, less what was used and is not invoiced yet.

    `promotional`: before tax, of any model; credit for some models may not cover what is used next.
    """

    promotional: Decimal
    prepaid: Decimal
    unbilled: Cost

    @property
    def left(self) -> Decimal:
        """Below zero: what no credit covers."""
        covered = min(self.promotional, self.unbilled.amount)
        due = Cost(exact.minus(self.unbilled.amount, covered), self.unbilled.tax_rate).with_tax
        return exact.minus(exact.total((self.promotional, self.prepaid)), exact.total((covered, due)))


def save_rule(
    tenant: str,
    *,
    threshold: Decimal,
    amount: Decimal,
    actor: str,
    valid_days: int | None = None,
    most_per_month: Decimal | None = None,
    enabled: bool = True,
) -> TopUpRule:
    """Set the rule of a tenant, in its currency. Raises CreditRefused."""
    info = _tenant(tenant)
    values = {
        "threshold": threshold,
        "amount": amount,
        "valid_days": valid_days,
        "most_per_month": most_per_month,
        "enabled": enabled,
    }
    _refuse_impossible(info.currency, threshold, amount, valid_days, most_per_month)
    with transaction.atomic():
        found = TopUpRule.objects.select_for_update().filter(tenant=tenant, currency=info.currency).first()
        before = audit_log.snapshot(found) if found else None
        rule = found or TopUpRule(tenant=tenant, currency=info.currency)
        for name, value in values.items():
            setattr(rule, name, value)
        rule.save()
        audit_log.record(actor, "change" if before else "add", rule, before, audit_log.snapshot(rule))
    return rule


def top_up_due(now: datetime | None = None) -> list[Invoice]:
    """A top-up for every rule whose tenant has run low. One tenant's trouble is its own: it is logged and tried at the next run."""
    moment = now or timezone.now()
    made = []
    for rule in TopUpRule.objects.filter(enabled=True).order_by("tenant"):
        try:
            invoice = _top_up(rule, moment)
        except (ValueError, metering.ClickHouseUnavailable, metering.ClickHouseRefused) as error:
            logger.warning("no top-up for %s: %s", rule.tenant, error)
            continue
        if invoice is not None:
            made.append(invoice)
    return made


def buy(
    tenant: str, amount: Decimal, *, actor: str, valid_days: int | None = None, now: datetime | None = None
) -> Invoice:
    """An invoice for credit of `amount` in the tenant's currency. When it is paid, the grant is there. Raises CreditRefused."""
    info = _tenant(tenant)
    _refuse_impossible(info.currency, exact.ZERO, amount, valid_days, None)
    with transaction.atomic():
        invoice = _invoice(info, amount, valid_days, actor, now or timezone.now(), automatic=False)
        bought = {"tenant": tenant, "amount": f"{rating.plain(amount)} {info.currency}", "valid_days": valid_days}
        audit_log.record(actor, "top_up", invoice, None, bought)
    return invoice


def standing(tenant: TenantInfo, now: datetime) -> Standing:
    return _standing(tenant, unbilled_cost(tenant, now), now)


def _top_up(rule: TopUpRule, now: datetime) -> Invoice | None:
    info = _tenant(rule.tenant)
    unbilled = unbilled_cost(info, now)  # before the lock: it asks ClickHouse
    with transaction.atomic():
        held = TopUpRule.objects.select_for_update().get(pk=rule.pk)
        # Read under the lock: another process may have topped up, or a payment have come, since.
        low = _standing(info, unbilled, now).left < held.threshold
        if not held.enabled or not low or _has_open(held) or _over_limit(held, now):
            return None
        return _invoice(info, held.amount, held.valid_days, SCHEDULE, now, automatic=True)


def _standing(tenant: TenantInfo, unbilled: Cost, now: datetime) -> Standing:
    promotional, prepaid = exact.ZERO, exact.ZERO
    for held in ledger.open_grants([tenant.key]):
        grant = held.grant
        if grant.currency != tenant.currency or (grant.expires_at is not None and grant.expires_at <= now):
            continue
        if grant.kind != CreditGrant.Kind.PROMOTIONAL:
            prepaid = exact.total((prepaid, held.left))
        elif not grant.models_covered and grant.effective_from <= now:
            promotional = exact.total((promotional, held.left))
    return Standing(promotional, prepaid, unbilled)


def _has_open(rule: TopUpRule) -> bool:
    return _of(rule).filter(state__status__in=OPEN).exists()


def _over_limit(rule: TopUpRule, now: datetime) -> bool:
    """The next one would exceed what may be bought in a calendar month in UTC."""
    if rule.most_per_month is None:
        return False
    day = now.astimezone(UTC).date()
    bought = _of(rule).filter(issued_on__year=day.year, issued_on__month=day.month)
    spent = bought.exclude(state__status=InvoiceState.Status.VOID).aggregate(sum=Sum("total"))["sum"] or exact.ZERO
    return bool(spent + rule.amount > rule.most_per_month)


def _of(rule: TopUpRule) -> QuerySet[Invoice]:
    return Invoice.objects.filter(kind=Invoice.Kind.TOP_UP, tenant=rule.tenant, currency=rule.currency)


def _invoice(
    tenant: TenantInfo, amount: Decimal, valid_days: int | None, actor: str, now: datetime, *, automatic: bool
) -> Invoice:
    """Final at once. The caller's transaction holds the series from here on."""
    agreed = agreements.agreements([tenant], now)[tenant.key]
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    seal = metering.latest_seal()
    (number,) = numbers.take_numbers(1, year=day.year)
    invoice = Invoice.objects.create(
        number=number,
        kind=Invoice.Kind.TOP_UP,
        tenant=tenant.key,
        contract=agreed.contract,
        contract_revision=agreed.revision,
        time_zone=agreed.zone.key,
        period_start=day,
        period_end=day + timedelta(days=1),
        currency=tenant.currency,
        seal=seal.id if seal else 0,
        watermark=seal.watermark if seal else now,
        price_versions={},
        rating_version=rating.RATING_VERSION,
        seller=parties.seller_copy(),
        buyer=parties.buyer_copy(agreed.customer),
        tax_category="O",
        tax_note=NO_TAX_NOTE,
        subtotal=amount,
        tax=exact.ZERO,
        total=amount,
        amount_due=amount,
        issued_on=day.date(),
        due_on=day.date() + timedelta(days=agreed.customer.payment_terms_days),
        **dict.fromkeys(UsageTotals.__dataclass_fields__, 0),
    )
    line = _line(invoice, valid_days, automatic=automatic)
    InvoiceLine.objects.bulk_create(invoice_rows.rows_of(invoice, [line], {}))
    InvoiceTax.objects.create(invoice=invoice, rate=exact.ZERO, base=amount, amount=exact.ZERO)
    InvoiceState.objects.create(invoice=invoice)
    Invoice.objects.filter(pk=invoice.pk).update(finalised_at=now)
    invoice.finalised_at = now
    settling.event(invoice, "finalised", actor, {"total": rating.plain(amount), "kind": invoice.kind})
    stripe_tasks.plan(invoice)
    return invoice


def _line(invoice: Invoice, valid_days: int | None, *, automatic: bool) -> rating.Line:
    valid = f"valid for {valid_days} days once it is paid" if valid_days else "without expiry"
    return rating.Line(
        type=rating.LineType.TOP_UP,
        key='["top_up"]',
        start=invoice.period_start,
        end=invoice.period_end,
        explanation=f"Prepaid credit of {rating.rounded(invoice.total, invoice.currency):,f} {invoice.currency}, {valid}",
        amount_exact=invoice.total,
        amount=invoice.total,
        unit="",
        detail={"valid_days": valid_days, "automatic": automatic},
    )


def _tenant(key: str) -> TenantInfo:
    found = metering.tenant(key)
    if found is None:
        raise CreditRefused(f"there is no tenant {key!r}")
    return found


def _refuse_impossible(
    currency: str, threshold: Decimal, amount: Decimal, valid_days: int | None, most_per_month: Decimal | None
) -> None:
    for name, value in (("threshold", threshold), ("amount", amount), ("most_per_month", most_per_month)):
        if value is None:
            continue
        if not value.is_finite() or value < 0 or value >= 10**15 or value != rating.rounded(value, currency):
            raise CreditRefused(f"{name}: {value} is no amount of {currency}")
    if amount <= 0:
        raise CreditRefused("amount: a top-up of nothing buys nothing")
    if most_per_month is not None and most_per_month < amount:
        raise CreditRefused(f"most_per_month: {most_per_month} is less than one top-up of {amount}")
    if valid_days is not None and not 1 <= valid_days <= 3650:
        raise CreditRefused(f"valid_days: {valid_days} is not from 1 to 3650")
