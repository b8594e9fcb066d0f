"""What is invoiced of a tenant's time. A period begins where an invoice ended, whatever was agreed since: nothing is billed twice."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.contract_terms import NAMED_AT_MOST
from billing.contracts import Period
from billing.models import Invoice, InvoiceState

VOID = InvoiceState.Status.VOID.value
LONGEST = timedelta(days=32)  # no period is longer


@dataclass(frozen=True)
class Invoiced:
    """The periods of a tenant's final invoices, of those that are not void and of those that are."""

    standing: frozenset[Period] = frozenset()
    void: frozenset[Period] = frozenset()

    def covers(self, at: datetime) -> bool:
        return any(period.start <= at < period.end for period in self.standing)

    def cut(self, period: Period, at: datetime) -> Period:
        """The part of a period around `at` that no invoice begins or ends within."""
        edges = [edge for each in self.standing for edge in (each.start, each.end) if period.start < edge < period.end]
        if not edges:
            return period
        before, after = [edge for edge in edges if edge <= at], [edge for edge in edges if edge > at]
        return Period(max(before, default=period.start), min(after, default=period.end))


NOTHING = Invoiced()


def invoiced_of(tenants: Collection[str], within: Period | None = None) -> dict[str, Invoiced]:
    """Of those tenants that have invoices; one query. `within`: only what may cut a period that reaches into this span."""
    rows = Invoice.objects.filter(kind=Invoice.Kind.USAGE, finalised_at__isnull=False)
    if len(tenants) <= NAMED_AT_MOST:
        rows = rows.filter(tenant__in=list(tenants))
    if within is not None:
        rows = rows.filter(period_end__gt=within.start - LONGEST, period_start__lt=within.end + LONGEST)
    found: dict[str, tuple[set[Period], set[Period]]] = defaultdict(lambda: (set(), set()))
    for tenant, start, end, status in rows.values_list("tenant", "period_start", "period_end", "state__status"):
        found[tenant][status == VOID].add(Period(start, end))
    return {tenant: Invoiced(frozenset(standing), frozenset(void)) for tenant, (standing, void) in found.items()}


def open_from(tenant: str) -> tuple[datetime, str] | None:
    """The moment from which on nothing of a tenant is invoiced, and the number of the invoice that reaches it. None: nothing is."""
    rows = Invoice.objects.filter(tenant=tenant, kind=Invoice.Kind.USAGE, finalised_at__isnull=False)
    last = rows.exclude(state__status=VOID).order_by("-period_end").values_list("period_end", "number").first()
    return last or None
