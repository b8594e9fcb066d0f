"""Reading credit: balances, grants, what was done to them. A tenant's own or everybody's; nothing is changed here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing import credit_costs, credit_forecast, rating
from billing.credit_contracts import CreditBalance, CreditEntryInfo, CreditGrantInfo, CreditOutlook, TopUpInfo
from billing.credit_forecast import Reserve
from billing.models import CreditEntry, CreditGrant, Invoice, InvoiceState, TopUpRule
from billing.rating import BEGINNING, exact
from metering.contracts import TenantInfo

ACTIVE, PENDING, EXPIRED, USED = "active", "pending", "expired", "used"
PROMOTIONAL = CreditGrant.Kind.PROMOTIONAL


def credit_grants(
    tenant: str | None = None, *, limit: int | None = 100, before: int | None = None, now: datetime | None = None
) -> list[CreditGrantInfo]:
    """The newest first. `tenant` None: everybody's. `before`: continue after the grant of this id."""
    moment = now or timezone.now()
    rows = _grants(tenant)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [_info(row, moment) for row in rows.order_by("-pk")[:limit]]


def credit_entries(
    tenant: str | None = None, *, limit: int | None = 100, before: int | None = None
) -> list[CreditEntryInfo]:
    """What was done to grants, the newest first. `before`: continue after the entry of this id, which is the last one's `entry`."""
    rows = CreditEntry.objects.filter(grant__isnull=False).select_related("transaction", "grant")
    if tenant is not None:
        rows = rows.filter(transaction__tenant=tenant)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [_entry(row, row.grant) for row in rows.order_by("-pk")[:limit] if row.grant is not None]


def credit_balances(tenant: str | None = None, now: datetime | None = None) -> list[CreditBalance]:
    """One for each tenant and currency that holds or held anything, in order."""
    moment = now or timezone.now()
    held: dict[tuple[str, str], list[CreditGrantInfo]] = {}
    for row in _grants(tenant).order_by("tenant", "currency", "pk"):
        held.setdefault((row.tenant, row.currency), []).append(_info(row, moment))
    return [_balance(owner, currency, grants) for (owner, currency), grants in held.items()]


def credit_outlook(tenant: TenantInfo, now: datetime | None = None) -> CreditOutlook:
    """Asks for the tenant's usage: slower than the rest here. Raises what metering raises where ClickHouse cannot be read."""
    moment = now or timezone.now()
    own = [info for row in _grants(tenant.key) if (info := _info(row, moment)).currency == tenant.currency]
    daily = credit_costs.daily_cost(tenant, moment)
    unbilled = credit_costs.unbilled_cost(tenant, moment)
    today = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = credit_forecast.forecast(_reserves(own), daily.cost.amount, daily.cost.tax_rate, today, due=unbilled.amount)
    return CreditOutlook(
        balance=_balance(tenant.key, tenant.currency, own),
        unbilled=rating.rounded(unbilled.with_tax, tenant.currency),
        day_cost=rating.rounded(daily.cost.with_tax, tenant.currency),
        days=daily.days,
        used_up_on=found.used_up_on,
        expires_unused=rating.rounded(found.expires_unused, tenant.currency),
    )


def top_up_rule(tenant: TenantInfo) -> TopUpInfo | None:
    row = TopUpRule.objects.filter(tenant=tenant.key, currency=tenant.currency).first()
    if row is None:
        return None
    waiting = Invoice.objects.filter(
        kind=Invoice.Kind.TOP_UP,
        tenant=tenant.key,
        currency=tenant.currency,
        state__status__in=(InvoiceState.Status.OPEN, InvoiceState.Status.PAST_DUE),
    )
    return TopUpInfo(
        tenant=row.tenant,
        currency=row.currency,
        threshold=rating.rounded(row.threshold, row.currency),
        amount=rating.rounded(row.amount, row.currency),
        valid_days=row.valid_days,
        most_per_month=None if row.most_per_month is None else rating.rounded(row.most_per_month, row.currency),
        enabled=row.enabled,
        open_invoice=waiting.order_by("-pk").values_list("number", flat=True).first() or "",
    )


def _grants(tenant: str | None) -> "QuerySet[CreditGrant]":
    rows = CreditGrant.objects.annotate(left=Coalesce(Sum("entries__amount"), Decimal(0)))
    return rows if tenant is None else rows.filter(tenant=tenant)


def _info(row: CreditGrant, now: datetime) -> CreditGrantInfo:
    left: Decimal = row.left  # type: ignore[attr-defined]
    return CreditGrantInfo(
        id=row.pk,
        tenant=row.tenant,
        name=row.name,
        kind=row.kind,
        currency=row.currency,
        amount=rating.rounded(row.amount, row.currency),
        left=rating.rounded(left, row.currency),
        status=_status(row, left, now),
        priority=row.priority,
        models=tuple(row.models_covered),
        effective_from=None if row.effective_from == BEGINNING else row.effective_from,
        expires_at=row.expires_at,
        created_at=row.created_at,
    )


def _status(row: CreditGrant, left: Decimal, now: datetime) -> str:
    if left <= 0:
        return USED
    if row.expires_at is not None and row.expires_at <= now:
        return EXPIRED
    return PENDING if row.effective_from > now else ACTIVE


def _entry(row: CreditEntry, grant: CreditGrant) -> CreditEntryInfo:
    return CreditEntryInfo(
        entry=row.pk,
        transaction=row.transaction.pk,
        at=row.transaction.at,
        tenant=row.transaction.tenant,
        type=row.transaction.type,
        reference=row.transaction.reference,
        grant=grant.pk,
        grant_name=grant.name,
        kind=grant.kind,
        amount=rating.rounded(row.amount, row.transaction.currency),
        currency=row.transaction.currency,
        note=row.transaction.note,
    )


def _balance(tenant: str, currency: str, grants: Iterable[CreditGrantInfo]) -> CreditBalance:
    sums = {ACTIVE: exact.ZERO, PENDING: exact.ZERO, EXPIRED: exact.ZERO, USED: exact.ZERO}
    promotional = exact.ZERO
    for one in grants:
        sums[one.status] += one.left
        if one.status == ACTIVE and one.kind == PROMOTIONAL:
            promotional += one.left
    return CreditBalance(tenant, currency, promotional, sums[ACTIVE] - promotional, sums[PENDING], sums[EXPIRED])


def _reserves(grants: Iterable[CreditGrantInfo]) -> list[Reserve]:
    """In the order in which they burn. Credit for some models is left out: it may not cover what is used next."""
    usable = [one for one in grants if one.status in {ACTIVE, PENDING} and not one.models]
    usable.sort(
        key=lambda one: (one.kind != PROMOTIONAL, one.priority, one.expires_at or datetime.max.replace(tzinfo=UTC))
    )
    return [
        Reserve(one.left, one.kind == PROMOTIONAL, one.effective_from or BEGINNING, one.expires_at) for one in usable
    ]
