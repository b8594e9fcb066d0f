"""What is agreed with whom, and which periods are due: for one tenant or ten thousand, in the same number of queries.

A tenant's time is cut into periods as `timelines` says: those of its contracts; calendar months in UTC at list prices where it has none.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing import periods
from billing.contract_terms import ContractInfo, contracts_numbered
from billing.contracts import Period
from billing.customers import CustomerInfo, CustomerRefused, customers_of, save_customer, save_seller
from billing.rating.terms import Agreement, Stretch, TaxTreatment, Terms
from billing.subscriptions import ContractRefused, change_contract, create_contract, end, pause, resume
from billing.tax_rates import TaxTable
from billing.timelines import Timeline, timelines
from metering import public as metering
from metering.contracts import TenantInfo

__all__ = [
    "Agreed",
    "ContractInfo",
    "ContractRefused",
    "CustomerInfo",
    "CustomerRefused",
    "Due",
    "agreements",
    "change_contract",
    "changed_since",
    "create_contract",
    "due_periods",
    "end",
    "is_period",
    "past_agreements",
    "pause",
    "periods_ending",
    "resume",
    "save_customer",
    "save_seller",
]

Asked = tuple[str, int, Period]  # a contract's number ('' none), its revision, a period


@dataclass(frozen=True)
class Agreed:
    """What is agreed with one tenant for one period. `contract` is '' and `revision` 0 where there is none.

    `currency` is the tenant's, in which it is metered and billed. `tax` is that of the period's last local day: the moment at
    which tax on a continuous supply falls due, and the same however late the invoice is made.
    """

    contract: str
    revision: int
    currency: str
    zone: ZoneInfo
    period: Period
    agreement: Agreement
    customer: CustomerInfo
    tax: TaxTreatment


@dataclass(frozen=True)
class Due:
    """A period of a tenant that is to be billed."""

    tenant: TenantInfo
    period: Period
    agreed: Agreed

    def __iter__(self) -> Iterator[object]:
        return iter((self.tenant, self.period, self.agreed))


def agreements(tenants: Sequence[TenantInfo], at: datetime | Period) -> dict[str, Agreed]:
    """For each tenant the period that holds the moment `at`; or for all the period that is given.

    Raises ValueError for one that does not lie within a period of each tenant.
    """
    span = at if isinstance(at, Period) else Period(at, at)
    known = _Known(tenants, span)
    found = {}
    for tenant in tenants:
        period = known.timelines[tenant.key].period_at(span.start)
        if span.end > period.end:
            raise ValueError(
                f"{span} is not within one billing period of {tenant.key}: that ends on {period.end:%Y-%m-%d %H:%M}Z"
            )
        found[tenant.key] = known.agreed(tenant, span if isinstance(at, Period) else period)
    return found


def past_agreements(asked: Iterable[Asked]) -> dict[Asked, Agreement]:
    """The agreements that invoices were made from: each contract as it was when `revision` was its latest. A constant number of queries.

    Raises LookupError for a contract that is not here.
    """
    every = list(dict.fromkeys(asked))
    known = contracts_numbered({number for number, _, _ in every if number})
    found = {}
    for number, revision, period in every:
        if number and number not in known:
            raise LookupError(f"there is no contract {number!r}")
        contract = known[number].as_of(revision) if number else None
        found[number, revision, period] = _agreement(contract, period)
    return found


def is_period(tenant: TenantInfo, period: Period) -> bool:
    """Whether a span is exactly one of the tenant's periods, as it is agreed and invoiced by now."""
    return timelines([tenant.key], period)[tenant.key].period_at(period.start) == period


def periods_ending(tenants: Sequence[TenantInfo], after: datetime, until: datetime) -> list[Due]:
    """Every period of these tenants that ends in `(after, until]`, invoiced or not, whatever the grace. In order of tenant, then time."""
    known = _Known(tenants)
    return [
        Due(tenant, period, known.agreed(tenant, period))
        for tenant in tenants
        for period in known.timelines[tenant.key].periods(after, until)
        if period.end > after
    ]


def due_periods(tenants: Sequence[TenantInfo], cut_off: datetime) -> list[Due]:
    """The periods that had ended by `cut_off`, the customer's grace included, and have no invoice. In order of tenant, then time.

    A period for which an invoice became void is not among them: it is reissued by hand. Left out are periods, except each tenant's
    last, in which nothing was used and no fee or commitment fell due. What is used in a month before a tenant's first invoice
    counts as anything else does.
    """
    seal = metering.latest_seal()
    one = tenants[0].key if len(tenants) == 1 else None
    used = metering.months_used(seal, tenant=one) if seal else {}
    known = _Known(tenants)
    found = []
    for tenant in tenants:
        months = used.get(tenant.key, frozenset())
        timeline = known.timelines[tenant.key]
        until = cut_off - timedelta(hours=known.customers[tenant.key].grace_hours)
        ended = list(timeline.periods(_first(months), until))
        for period in ended:
            if timeline.invoiced.covers(period.start) or period in timeline.invoiced.void:
                continue
            agreed = known.agreed(tenant, period)
            if period is ended[-1] or _touches(period, months) or _charges(agreed.agreement):
                found.append(Due(tenant, period, agreed))
    return found


def changed_since(agreed: Mapping[str, Agreed]) -> set[str]:
    """Tenants with whom something else is agreed by now: another contract or a newer revision, or other periods, since an invoice cuts
    them. For the transaction that finalises, after it has locked the series of numbers: changes of contracts wait for that lock."""
    if not agreed:
        return set()
    spans = [each.period for each in agreed.values()]
    within = Period(min(span.start for span in spans), max(span.end for span in spans))
    now = timelines(agreed.keys(), within)
    return {tenant for tenant, before in agreed.items() if not _still(now[tenant], before)}


def _still(timeline: Timeline, before: Agreed) -> bool:
    contract = timeline.holding(before.period.start)
    named = (contract.number, contract.latest) if contract else ("", 0)
    return named == (before.contract, before.revision) and timeline.period_at(before.period.start) == before.period


class _Known:
    """What the database has about these tenants, read once."""

    def __init__(self, tenants: Sequence[TenantInfo], within: Period | None = None) -> None:
        self.timelines = timelines([tenant.key for tenant in tenants], within)
        self.customers = customers_of(tenants)
        self.taxes = TaxTable.read()

    def agreed(self, tenant: TenantInfo, period: Period) -> Agreed:
        contract = self.timelines[tenant.key].holding(period.start)
        zone = contract.zone if contract else periods.UTC_ZONE
        customer = self.customers[tenant.key]
        return Agreed(
            contract=contract.number if contract else "",
            revision=contract.latest if contract else 0,
            currency=tenant.currency,
            zone=zone,
            period=period,
            agreement=_agreement(contract, period),
            customer=customer,
            tax=self.taxes.treatment(customer, periods.local_day(period.end, zone) - timedelta(days=1)),
        )


def _agreement(contract: ContractInfo | None, period: Period) -> Agreement:
    if contract is not None:
        return contract.agreement(period.start, period.end)
    days = periods.days_between(period.start, period.end, periods.UTC_ZONE)
    whole = periods.period_days(1, periods.UTC_ZONE, period.start)
    return Agreement((Stretch(period.start, period.end, days, Terms()),), whole)


def _first(months: Collection[date]) -> datetime | None:
    return datetime.combine(min(months), datetime.min.time(), UTC) if months else None


def _touches(period: Period, months: Collection[date]) -> bool:
    """Something was used in a calendar month that the period has a part of."""
    month = periods.month_of(period.start)
    while month.start < period.end:
        if month.start.date() in months:
            return True
        month = periods.month_of(month.end)
    return False


def _charges(agreement: Agreement) -> bool:
    """It may cost something though nothing is used."""
    return any(_terms_charge(stretch.terms) for stretch in agreement.stretches)


def _terms_charge(terms: Terms) -> bool:
    fees = terms.flat_fees or any(fee.minimum for fee in terms.percentage_fees)
    return terms.active and bool(fees or terms.commitment)
