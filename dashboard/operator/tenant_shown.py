"""One customer as text: the tiles and tables of its page. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from billing.contracts import CostRow, MarginReport
from billing.public import payable
from dashboard import formats
from dashboard.finance import margin_shown
from dashboard.operator import tenants_shown
from dashboard.operator.energy_shown import joules, regrouped
from dashboard.operator.tenant_read import Drew, Earned, Used
from dashboard.operator.tiles import ERRORS_ARE_BAD_FROM, Tile, compact
from metering.public import EnergyAmounts, EnergyReport, TenantLatency, TenantPart

NOTHING = formats.NOTHING


@dataclass(frozen=True)
class Part:
    """One model or tier. `line`: its money, None where that is not known by this dimension or not read yet."""

    name: str
    requests: str
    input_tokens: str
    output_tokens: str
    errors: str
    errors_bad: bool
    latencies: tuple[str, ...]
    kwh: str
    gpu_hours: str
    per_output_token: str
    costs: tuple[tuple[str, str], ...]
    line: margin_shown.Line | None


@dataclass(frozen=True)
class Project:
    name: str
    requests: str
    input_tokens: str
    output_tokens: str
    cost: str


def money(report: MarginReport) -> dict[str, margin_shown.Line]:
    """By model."""
    return {one.name: one for one in margin_shown.lines(report, "model")}


def parts(
    found: Sequence[TenantPart],
    energy: EnergyReport | None,
    group: str,
    lines: Mapping[str, margin_shown.Line] = MappingProxyType({}),
) -> list[Part]:
    """By `group`, model or tier: the most tokens first, then those of which only energy is known."""
    rows = regrouped(energy, group).rows if energy else ()
    amounts = {row.groups[group]: row.amounts for row in rows if not row.label}
    shown = [_part(one, amounts.get(one.value), lines.get(one.value or "(none)")) for one in found]
    known = {one.value for one in found}
    rest = sorted((name for name in amounts if name not in known), key=lambda name: -amounts[name].kwh)
    return shown + [_energy_only(name, amounts[name], lines.get(name or "(none)")) for name in rest]


def projects(found: Sequence[CostRow]) -> list[Project]:
    """The most tokens first. A customer has one currency, but a project may have had several."""
    ordered = sorted(found, key=lambda row: (-(row.input_tokens + row.output_tokens), str(row.groups["project"])))
    return [
        Project(
            name=str(row.groups["project"]) or "(none)",
            requests=formats.whole(row.requests),
            input_tokens=formats.whole(row.input_tokens),
            output_tokens=formats.whole(row.output_tokens),
            cost=NOTHING if row.cost is None else formats.money(payable(row.cost, row.currency), row.currency),
        )
        for row in ordered
    ]


def tiles(used: Used, drew: Drew, earned: Earned | None) -> list[Tile]:
    usage, counts = used.usage, used.usage.counts if used.usage else None
    errors, _, percent = formats.percent(counts.error_ratio if counts else None).partition(" ")
    bad = "bad" if counts and (counts.error_ratio or 0) >= ERRORS_ARE_BAD_FROM else ""
    return [
        Tile("tokens", "Tokens", *compact(usage.tokens if usage else 0), _growth(used)),
        Tile("requests", "Requests", *compact(counts.requests if counts else 0), "errors included"),
        Tile("errors", "Errors", errors, percent, formats.counted(counts.error, "request") if counts else "", bad),
        *_latencies(used.latency),
        *_capacity(drew),
        *_money(earned),
    ]


def _growth(used: Used) -> str:
    text = tenants_shown.growth(used.usage)
    if text == NOTHING:
        return "none in this period"
    return "nothing in the period before" if text == "new" else f"{text} on the period before"


def _latencies(found: TenantLatency) -> list[Tile]:
    named = (("ttft_ms", "TTFT p95"), ("tpot_ms", "TPOT p95"), ("e2e_ms", "End to end p95"))
    tiles = []
    for measure, label in named:
        held = getattr(found, measure)
        unit = formats.LATENCY_UNITS[measure] if held else ""
        note = f"p50 {formats.latency(measure, held.p50)} {unit}" if held else "not measured"
        tiles.append(
            Tile(measure.removesuffix("_ms"), label, formats.latency(measure, held.p95 if held else None), unit, note)
        )
    return tiles


def _capacity(drew: Drew) -> list[Tile]:
    gpu_hours, kwh = sum(one.gpu_hours for one in drew.capacity), sum(one.kwh for one in drew.capacity)
    if not drew.known:
        return [Tile("gpu", "Share of GPU time", tenants_shown.READING, "", "of all GPU hours")]
    if drew.by_place is None or not gpu_hours:
        return [Tile("gpu", "Share of GPU time", NOTHING, "", "no energy is settled in this range")]
    own = drew.by_place.total
    value, _, unit = tenants_shown.share(float(own.gpu_hours), gpu_hours).partition(" ")
    hours = f"{formats.quantity(own.gpu_hours)} of {formats.quantity(gpu_hours)} GPU hours"
    note = (
        f"{tenants_shown.share(float(own.kwh), kwh)} of all; {joules(own.joules_per_output_token)} J per output token"
    )
    return [
        Tile("gpu", "Share of GPU time", value, unit, hours),
        Tile("energy", "Energy", formats.quantity(own.kwh), "kWh", note),
    ]


def _money(earned: Earned | None) -> list[Tile]:
    """In the customer's currency; nothing while it is not read or nothing is settled."""
    if earned is None:
        return []
    line, found = margin_shown.total(earned.total), []
    for one, shown in zip(earned.total.total.amounts, line.amounts, strict=True):
        cost = _known(one.energy_cost, one.gpu_cost)
        both = NOTHING if cost is None else formats.signed(payable(cost, one.currency))
        parts = f"energy {shown.energy_cost}, GPU time {shown.gpu_cost}"
        revenue = _amount("revenue", "Revenue", shown.revenue, shown.currency, note="usage at its prices, before tax")
        found += [revenue, _amount("cost", "Costs", both, shown.currency, note=parts)]
    currency = line.amounts[0].currency if len(line.amounts) == 1 else ""
    note = f"{line.share} of revenue" if line.share != NOTHING else "; ".join(line.why)
    label = "Margin: a loss" if line.loss else "Margin"
    return [*found, _amount("margin", label, line.margin, currency, note=note, tone="bad" if line.loss else "")]


def _known(*amounts: Decimal | None) -> Decimal | None:
    """Together; None where one of them is not known."""
    found = [one for one in amounts if one is not None]
    return sum(found, Decimal(0)) if len(found) == len(amounts) else None


def _amount(key: str, label: str, value: str, currency: str, *, note: str, tone: str = "") -> Tile:
    return Tile(f"{key}-{currency}", label, value, "" if value == NOTHING else currency, note, tone)


def _part(one: TenantPart, amounts: EnergyAmounts | None, line: margin_shown.Line | None) -> Part:
    return Part(
        name=one.value or "(none)",
        requests=formats.whole(one.counts.requests),
        input_tokens=formats.whole(one.counts.input_tokens),
        output_tokens=formats.whole(one.counts.output_tokens),
        errors=formats.percent(one.counts.error_ratio),
        errors_bad=(one.counts.error_ratio or 0) >= ERRORS_ARE_BAD_FROM,
        latencies=tenants_shown.latencies(one.latency),
        line=line,
        **_energy(amounts),
    )


def _energy_only(name: str, amounts: EnergyAmounts, line: margin_shown.Line | None) -> Part:
    return Part(
        name=name or "(none)",
        requests="0",
        input_tokens="0",
        output_tokens="0",
        errors=NOTHING,
        errors_bad=False,
        latencies=tenants_shown.latencies(TenantLatency()),
        line=line,
        **_energy(amounts),
    )


def _energy(amounts: EnergyAmounts | None) -> dict[str, Any]:
    if amounts is None:
        return {"kwh": NOTHING, "gpu_hours": NOTHING, "per_output_token": NOTHING, "costs": ()}
    return {
        "kwh": formats.quantity(amounts.kwh),
        "gpu_hours": formats.quantity(amounts.gpu_hours),
        "per_output_token": joules(amounts.joules_per_output_token),
        "costs": tuple(
            (currency, formats.signed(payable(cost, currency))) for currency, cost in amounts.energy_cost.items()
        ),
    }
