"""Energy by tenant, model and place, with its cost and CO2; idle time and what is nobody's are rows of their own, so that all rows come
to the counters."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_report import OTHERS, EnergySteps, EnergySums
from metering.clickhouse.queries.energy_rows import GROUPS, LABELS
from metering.contracts import EnergyCostRow
from metering.telemetry.energy.amounts import Amounts, Used, priced, total
from metering.telemetry.energy.days import DAY_S, sources
from metering.telemetry.energy.prices import tariffs
from metering.telemetry.energy.tariffs import PriceList
from metering.telemetry.settled import energy_settled

WINDOWS = ("hour", "day", "month", "total")
WINDOW_S = {"hour": 3600, "day": DAY_S, "month": DAY_S, "total": DAY_S}  # what has to be told apart
MOST_ROWS = 500_000
TIMEOUT_S = 30.0
LONGEST = timedelta(days=366 * 15)
Key = tuple[datetime, str, tuple[str, ...]]  # window, label, groups


@dataclass(frozen=True)
class _Ask:
    """One question, checked."""

    start: datetime
    end: datetime
    window: str
    groups: tuple[str, ...]
    only: tuple[tuple[str, str], ...] = ()
    largest: int = 0
    among: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class EnergyPoint:
    """One step of one value of a group, or of one label; without prices. `value`: '' for a label, OTHERS for those that have no point of
    their own."""

    start: datetime
    value: str
    label: str
    requests: int
    prefill_tokens: float
    decode_tokens: float
    kwh: float
    gpu_hours: float
    simulated: bool


def energy_report(
    start: datetime,
    end: datetime,
    *,
    window: str = "total",
    group_by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    largest: int = 0,
) -> EnergyReport:
    """`group_by` and the names in `only` are of GROUPS. Both bounds lie on whole hours of UTC. Raises ValueError.

    `largest`: only so many values of the first group have rows, those with the most energy; the rest are one row, OTHERS.
    """
    return energy_report_asked(start, end, window=window, group_by=group_by, only=only, largest=largest)()


def energy_report_asked(
    start: datetime,
    end: datetime,
    *,
    window: str = "total",
    group_by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    largest: int = 0,
) -> Callable[[], EnergyReport]:
    """The same in two: what PostgreSQL has to say is asked now, and ClickHouse by what is returned, in whatever thread."""
    groups = tuple(name for name in GROUPS if name in group_by)
    _check(start, end, window, group_by)
    read = _sums(_Ask(start, end, window, groups, tuple(sorted((only or {}).items())), largest))
    closed_until = energy_settled().closed_until

    def report() -> EnergyReport:
        rows = tuple(
            EnergyRow(at, dict(zip(groups, values, strict=True)), label, total(amounts))
            for (at, label, values), amounts in sorted(read().items(), key=lambda one: one[0])
        )
        return EnergyReport(start, end, closed_until, rows, total(row.amounts for row in rows))

    return report


def energy_series(
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    group: str = "",
    only: Mapping[str, str] | None = None,
    named: Sequence[str] = (),
) -> list[EnergyPoint]:
    """In order of time, label and value; steps without energy are left out. `step`: whole hours, from `start` on. `named`: as EnergySteps.

    By tenant, steps of whole days from midnight on are read fast, and so is a single step; others hour by hour. Raises ValueError.
    """
    return energy_series_asked(start, end, step, group=group, only=only, named=named)()


def energy_series_asked(
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    group: str = "",
    only: Mapping[str, str] | None = None,
    named: Sequence[str] = (),
) -> Callable[..., list[EnergyPoint]]:
    """The same in two, as energy_report_asked. What is returned takes other names, where these come of another reading."""
    _check(start, end, "total", (group,) if group else ())
    narrowed = tuple(sorted((only or {}).items()))
    names = {group, *dict(narrowed)} - {""}
    whole_days = (start.hour == 0 and not step % timedelta(days=1)) or step >= end - start
    window_s = DAY_S if whole_days else 3600
    read = sources(start, end, names, window_s=window_s, book=None, needs_tenant="tenant" in names)

    def series(named: Sequence[str] = named) -> list[EnergyPoint]:
        query = EnergySteps(read, int(step.total_seconds()), group, narrowed, tuple(named))
        return [_point(row) for row in client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_ROWS).rows]

    return series


def _point(row: tuple[Any, ...]) -> EnergyPoint:
    at_s, label, value, requests, prefill, decode, nkwh, nh, simulated = row
    return EnergyPoint(
        start=datetime.fromtimestamp(at_s, UTC),
        value=value,
        label=label,
        requests=int(requests),
        prefill_tokens=prefill,
        decode_tokens=decode,
        kwh=nkwh / 1e9,
        gpu_hours=nh / 1e9,
        simulated=bool(simulated),
    )


def energy_costs(start: datetime, end: datetime, window: str, tenants: Sequence[str] = ()) -> list[EnergyCostRow]:
    """By window, tenant and model, for margins. `tenants`: of these alone, without what is nobody's; none named: all. Bounds and errors as
    energy_report."""
    groups = ("tenant", "model")
    _check(start, end, window, groups)
    found = _sums(_Ask(start, end, window, groups, among=tuple(tenants)))()
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


def _sums(ask: _Ask) -> Callable[[], dict[Key, list[Amounts]]]:
    """The amounts of each row, one for each set of prices that held; prices are read now."""
    book = tariffs()
    named = {*ask.groups, *dict(ask.only)}
    window_s = WINDOW_S[ask.window]
    read = sources(ask.start, ask.end, named, window_s=window_s, book=book, needs_tenant="tenant" in named)
    query = EnergySums(read, ask.window, ask.groups, book.edges_s(), book.bands(), ask.only, ask.largest, ask.among)
    return lambda: _priced(ask, query, PriceList(book))


def _priced(ask: _Ask, query: EnergySums, prices: PriceList) -> dict[Key, list[Amounts]]:
    found: defaultdict[Key, list[Amounts]] = defaultdict(list)
    for row in client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_ROWS).rows:
        at = ask.start if ask.window == "total" else datetime.fromtimestamp(row[0], UTC)
        label, values = row[5], row[6 : 6 + len(ask.groups)]
        found[at, label, values].append(_amounts(row[1:5], row[6 + len(ask.groups) :], prices))
    return found


def _amounts(
    place: tuple[int, int, str, str], values: tuple[int, float, float, int, int, bool], prices: PriceList
) -> Amounts:
    since_s, hour, region, product = place
    requests, prefill, decode, nano_kwh, nano_hours, simulated = values
    used = Used(region, product, int(since_s), int(hour), int(nano_kwh), int(nano_hours))
    return priced(used, prices, requests=int(requests), tokens=(prefill, decode), simulated=bool(simulated))


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


__all__ = [
    "GROUPS",
    "LABELS",
    "OTHERS",
    "WINDOWS",
    "EnergyPoint",
    "EnergyReport",
    "EnergyRow",
    "energy_costs",
    "energy_report",
    "energy_report_asked",
    "energy_series",
    "energy_series_asked",
]
