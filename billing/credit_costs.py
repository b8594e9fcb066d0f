"""What credit will have to pay: usage that is not invoiced yet, and what a day costs. Estimates: fees and discounts are not in them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing import agreements, costing
from billing.contracts import Period
from billing.rating import exact
from metering.contracts import TenantInfo

DAYS = 30  # that a day's cost is the mean of, fewer for a tenant that began later


@dataclass(frozen=True)
class Cost:
    """`amount`: before tax, unrounded. `tax_rate`: what lies on it."""

    amount: Decimal
    tax_rate: Decimal

    @property
    def with_tax(self) -> Decimal:
        return exact.times(self.amount, exact.total((Decimal(1), self.tax_rate)))


@dataclass(frozen=True)
class DailyCost:
    """The mean of the last `days` whole days in UTC; 0: nothing was used in them."""

    cost: Cost
    days: int


def unbilled_cost(tenant: TenantInfo, now: datetime) -> Cost:
    """Usage of all periods that have no invoice yet, up to now."""
    agreed = agreements.agreements([tenant], now)[tenant.key]
    grace = timedelta(hours=agreed.customer.grace_hours)
    ended = [due.period for due in agreements.due_periods([tenant], now + grace)]
    periods = [*ended, Period(agreed.period.start, now)] if agreed.period.start < now else ended
    costs = [costing.cost_to_date(tenant.key, period).amount for period in periods]
    return Cost(exact.total(costs), agreed.tax.rate)


def daily_cost(tenant: TenantInfo, now: datetime) -> DailyCost:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = costing.costed_usage(today - timedelta(days=DAYS), today, tenant=tenant.key, group_by=[], window="day")
    rows = [row for row in found if row.currency == tenant.currency]
    rate = agreements.agreements([tenant], now)[tenant.key].tax.rate
    if not rows:
        return DailyCost(Cost(exact.ZERO, rate), 0)
    days = (today - min(row.window_start for row in rows)).days
    total = exact.total(row.cost for row in rows if row.cost is not None)
    return DailyCost(Cost(total / days, rate), days)
