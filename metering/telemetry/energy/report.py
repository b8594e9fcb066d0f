"""Energy by tenant, model and place, with its cost and CO2; idle time and what is nobody's are rows of their own, so that all rows come
to the counters."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_report import GROUPS, LABELS, EnergySums
from metering.contracts import EnergyCostRow
from metering.telemetry.energy.amounts import Amounts, Used, priced, total
from metering.telemetry.energy.prices import tariffs
from metering.telemetry.energy.tariffs import Tariffs
from metering.telemetry.settled import energy_settled

WINDOWS = ("hour", "day", "month", "total")
MOST_ROWS = 500_000
TIMEOUT_S = 30.0
LONGEST = timedelta(days=366 * 15)
Key = tuple[datetime, str, tuple[str, ...]]  # window, label, groups


@dataclass(frozen=True)
class EnergyRow:
    """`label`: '' for tenants, else one of LABELS; `tenant` and `tier` are '' then, and `model` is the engine's."""

    window_start: datetime
    groups: Mapping[str, str]
    label: str
    amounts: Amounts


@dataclass(frozen=True)
class EnergyReport:
    """Ordered by window, label and groups. `total`: of all rows, which is what the counters say unless `only` narrows it.

    Energy before `closed_until` is settled; None: none is yet.
    """

    start: datetime
    end: datetime
    closed_until: datetime | None
    rows: tuple[EnergyRow, ...]
    total: Amounts


def energy_report(
    start: datetime,
    end: datetime,
    *,
    window: str = "total",
    group_by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> EnergyReport:
    """`group_by` and the names in `only` are of GROUPS. Both bounds lie on whole hours of UTC. Raises ValueError."""
    groups = tuple(name for name in GROUPS if name in group_by)
    _check(start, end, window, group_by)
    found = _sums(start, end, window, groups, tuple(sorted((only or {}).items())))
    rows = tuple(
        EnergyRow(at, dict(zip(groups, values, strict=True)), label, total(amounts))
        for (at, label, values), amounts in sorted(found.items(), key=lambda one: one[0])
    )
    return EnergyReport(start, end, energy_settled().closed_until, rows, total(row.amounts for row in rows))


def energy_costs(start: datetime, end: datetime, window: str) -> list[EnergyCostRow]:
    """By window, tenant and model, for margins. Bounds and errors as energy_report."""
    groups = ("tenant", "model")
    _check(start, end, window, groups)
    found = _sums(start, end, window, groups, ())
    return [
        _cost_row(at, label, values, amounts)
        for (at, label, values), amounts in sorted(found.items(), key=lambda one: one[0])
    ]


def _cost_row(at: datetime, label: str, values: tuple[str, ...], amounts: list[Amounts]) -> EnergyCostRow:
    found = total(amounts)
    tenant, model = values
    return EnergyCostRow(
        window_start=at,
        tenant=tenant,
        model=model,
        label=label,
        requests=found.requests,
        energy_j=float(found.joules),
        gpu_s=float(found.gpu_s),
        energy_cost=found.energy_cost,
        gpu_cost=found.gpu_cost,
        energy_priced_in=_whole_in(found.energy_cost, (one.energy_cost for one in amounts if one.kwh)),
        gpu_priced_in=_whole_in(found.gpu_cost, (one.gpu_cost for one in amounts if one.gpu_hours)),
        unpriced_energy_j=float(found.unpriced_kwh) * 3_600_000,
        unpriced_gpu_s=float(found.unpriced_gpu_hours) * 3600,
        simulated=found.simulated,
    )


def _whole_in(currencies: Iterable[str], costs: Iterable[Mapping[str, Decimal]]) -> frozenset[str]:
    """Those of the currencies in which every one of `costs` is known."""
    return frozenset(currencies).intersection(*costs)


def _sums(
    start: datetime, end: datetime, window: str, groups: tuple[str, ...], only: tuple[tuple[str, str], ...]
) -> dict[Key, list[Amounts]]:
    """The amounts of each row, one for each set of prices that held."""
    book = tariffs()
    query = EnergySums(
        moments.seconds(start), moments.seconds(end), window, groups, book.edges_s(), book.by_hour(), only
    )
    found: defaultdict[Key, list[Amounts]] = defaultdict(list)
    for row in client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_ROWS).rows:
        at = start if window == "total" else datetime.fromtimestamp(row[0], UTC)
        label, values = row[5], row[6 : 6 + len(groups)]
        found[at, label, values].append(_amounts(row[1:5], row[6 + len(groups) :], book))
    return found


def _amounts(
    place: tuple[int, int, str, str], values: tuple[int, float, float, int, int, bool], book: Tariffs
) -> Amounts:
    since_s, hour, region, product = place
    requests, prefill, decode, nano_kwh, nano_hours, simulated = values
    used = Used(region, product, int(since_s), int(hour), int(nano_kwh), int(nano_hours))
    return priced(used, book, requests=int(requests), tokens=(prefill, decode), simulated=bool(simulated))


def _check(start: datetime, end: datetime, window: str, group_by: Sequence[str]) -> None:
    for moment in (start, end):
        if moment.tzinfo is None or moments.microseconds(moment) % (3600 * 10**6):
            raise ValueError(f"{moment.isoformat()} is not a whole hour of UTC: energy is added up by the hour")
    if not start < end <= start + LONGEST:
        raise ValueError("the time asked for is empty, or longer than 15 years")
    if window not in WINDOWS:
        raise ValueError(f"unknown window {window!r}: one of {', '.join(WINDOWS)}")
    if unknown := set(group_by) - set(GROUPS):
        raise ValueError(f"unknown group {min(unknown)!r}: one of {', '.join(GROUPS)}")


__all__ = ["GROUPS", "LABELS", "WINDOWS", "EnergyReport", "EnergyRow", "energy_costs", "energy_report"]
