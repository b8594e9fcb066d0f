"""Margins: revenue of tenants and models less the energy and the GPU time that went into them.

Revenue is usage at its prices, as `/api/v1/usage` has it (billing/costing.py): it belongs to the moment at which a request finished. Costs
come from metering's energy windows, which spread a request over the time in which it ran. So a request that crosses the edge of a
window has its revenue in the later one and its cost in both; over a day or a month that is next to nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

from billing import costing, periods
from billing.contracts import MarginReport
from billing.margin_sums import Sum, together
from metering import public as metering

GROUPS = ("tenant", "model")
WINDOWS = ("hour", "day", "month", "total")
HOUR = timedelta(hours=1)
Key = tuple[datetime, str, str, str]  # window, tenant, model, label


def margin_report(
    start: datetime,
    end: datetime,
    *,
    window: str,
    tenant: str | None = None,
    group_by: Sequence[str] = GROUPS,
    tenants: Sequence[str] = (),
) -> MarginReport:
    """Ordered by window, tenant, model and label. `tenant`: only that one's rows, without those that are nobody's; `tenants`: the same of
    some of them (at most a few hundred).

    Raises ValueError for bounds that are not on whole hours, an empty or too long time, an unknown window or group.
    """
    [report] = margin_reports(start, end, window=window, groupings=(group_by,), tenant=tenant, tenants=tenants)
    return report


def margin_reports(
    start: datetime,
    end: datetime,
    *,
    window: str,
    groupings: Sequence[Sequence[str]],
    tenant: str | None = None,
    tenants: Sequence[str] = (),
) -> list[MarginReport]:
    """The same, grouped in several ways, of one reading."""
    for group_by in groupings:
        _check(start, end, window, group_by)
    settled = metering.energy_settled()
    leaves = _leaves(start, end, window, [tenant] if tenant is not None else list(tenants))
    for (at, *_), held in leaves.items():
        held.close(closed=settled.covers(max(at, start), window_end(at, window, end)))
    return [_report(start, end, settled.closed_until, leaves, group_by) for group_by in groupings]


def _report(
    start: datetime, end: datetime, closed_until: datetime | None, leaves: Mapping[Key, Sum], group_by: Sequence[str]
) -> MarginReport:
    groups: defaultdict[Key, list[Sum]] = defaultdict(list)
    for (at, owner, model, label), held in leaves.items():
        groups[at, owner if "tenant" in group_by else "", model if "model" in group_by else "", label].append(held)
    total = together(leaves.values())
    currency = next(iter(total.billed_in)) if len(total.billed_in) == 1 else ""
    rows = tuple(together(sums).row(*key, prefer=currency) for key, sums in sorted(groups.items(), key=itemgetter(0)))
    return MarginReport(start, end, closed_until, rows, total.row(start, "", "", ""))


def margin_settled_hour() -> datetime | None:
    """The end of the latest hour of which all energy is settled: up to there margins are whole. None before the first."""
    return metering.energy_settled().hour


def window_end(start: datetime, window: str, end: datetime) -> datetime:
    """Where the window that begins there ends, or `end` if that is earlier."""
    following: dict[str, Callable[[], datetime]] = {
        "hour": lambda: start + HOUR,
        "day": lambda: start + 24 * HOUR,
        "month": lambda: periods.month_of(start).end,
        "total": lambda: end,
    }
    return min(following[window](), end)


def _leaves(start: datetime, end: datetime, window: str, tenants: list[str]) -> dict[Key, Sum]:
    """The smallest sums in which revenue meets its cost: by window, tenant and model. No tenant named: all, and what is nobody's."""
    found: defaultdict[Key, Sum] = defaultdict(Sum)
    only = tenants[0] if len(tenants) == 1 else None
    among = tenants if len(tenants) > 1 else []
    usage = costing.costed_usage(
        start, end, tenant=only, group_by=("model", "status"), window=window, by_tenant=True, among=among
    )
    for used in usage:
        found[used.window_start, used.tenant, str(used.groups["model"]), ""].add_usage(used)
    for cost in metering.energy_costs(start, end, window, tenants):
        found[cost.window_start, cost.tenant, cost.model, cost.label].add_cost(cost)
    return found


def _check(start: datetime, end: datetime, window: str, group_by: Sequence[str]) -> None:
    for moment in (start, end):
        if moment.tzinfo is None or moment.timestamp() % HOUR.total_seconds():
            raise ValueError(f"{moment.isoformat()} is not a whole hour of UTC")
    if window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
    if unknown := set(group_by) - set(GROUPS):
        raise ValueError(f"unknown group {min(unknown)!r}: one of {', '.join(GROUPS)}")
