"""How a tenant's time is cut into periods, without gap or overlap.

Those of its contracts; calendar months in UTC where it has none, cut short where a contract begins or ends; and whatever was agreed
since, a period ends where an invoice begins and begins where one ends.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from billing import periods
from billing.contract_terms import ContractInfo, contracts_of
from billing.contracts import Period
from billing.invoiced import NOTHING, Invoiced, invoiced_of


@dataclass(frozen=True)
class Timeline:
    """`contracts`: those that hold at some time, the earliest first."""

    contracts: tuple[ContractInfo, ...] = ()
    invoiced: Invoiced = NOTHING

    def holding(self, at: datetime) -> ContractInfo | None:
        return next((each for each in self.contracts if each.schedule.holds(at)), None)

    def period_at(self, at: datetime) -> Period:
        """The period that holds `at`."""
        contract = self.holding(at)
        agreed = periods.period_of(contract.schedule, at) if contract else self._month(at)
        return self.invoiced.cut(agreed, at)

    def periods(self, since: datetime | None, until: datetime) -> Iterator[Period]:
        """From the one that holds `since`, or the first contract's if that begins earlier, while they end by `until`."""
        starts = [each for each in (since, self._first_start()) if each is not None]
        if not starts:
            return
        period = self.period_at(min(starts))
        while period.end <= until:
            yield period
            period = self.period_at(period.end)

    def _first_start(self) -> datetime | None:
        return self.contracts[0].schedule.start if self.contracts else None

    def _month(self, at: datetime) -> Period:
        month = periods.month_of(at)
        ends = [end for each in self.contracts if (end := each.schedule.end) is not None and end <= at]
        starts = [each.schedule.start for each in self.contracts if each.schedule.start > at]
        return Period(max([month.start, *ends]), min([month.end, *starts]))


EMPTY = Timeline()


def timelines(tenants: Collection[str], within: Period | None = None) -> dict[str, Timeline]:
    """One for each tenant. A constant number of queries. `within`: only moments in this span will be asked about."""
    contracts = contracts_of(tenants)
    invoiced = invoiced_of(tenants, within)
    return {
        tenant: Timeline(
            tuple(each for each in contracts.get(tenant, ()) if not each.cancelled), invoiced.get(tenant, NOTHING)
        )
        for tenant in tenants
    }
