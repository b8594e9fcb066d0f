"""Energy as text: the tiles and the rows of its page. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from dashboard import formats, nobodys
from dashboard.operator.ingest_findings import BAD, WARN, Finding
from dashboard.operator.tiles import Tile
from metering.public import (
    ENERGY_OTHERS,
    ClusterPower,
    CoefficientsInfo,
    EnergyAmounts,
    EnergyConservation,
    EnergyHealth,
    EnergyReport,
    EnergyRow,
    energy_total,
)

CENTS, FINE = Decimal("0.01"), Decimal("0.0001")
FINE_BELOW = 100  # amounts that are all smaller than this are shown finer than to the cent
NANO = Decimal("1e-9")
G_PER_KG = 1000


@dataclass(frozen=True)
class Row:
    """A customer, a model, a tier or a cluster; or what is nobody's. `link`: its name is that of a customer.

    `costs`: by currency, of what has a price; `unpriced`: the share that has none, '' if all has one.
    """

    name: str
    meaning: str
    simulated: bool
    requests: str
    input_tokens: str
    output_tokens: str
    kwh: str
    share: str
    per_output_token: str
    per_token: str
    costs: tuple[tuple[str, str], ...]
    unpriced: str
    co2_kg: str
    link: bool = False


@dataclass(frozen=True)
class Part:
    """What the counters say, or a part of it."""

    name: str
    meaning: str
    kwh: str
    share: str


@dataclass(frozen=True)
class Coefficients:
    """What tokens cost as fitted, with standard errors; or as assumed. `context`: of a prompt token, for 1,000 tokens before it."""

    model: str
    product: str
    simulated: bool
    assumed: bool
    prefill: str
    context: str
    decode: str
    decode_w: str
    r_squared: str
    windows: str
    data: str
    refused: str


def rows(report: EnergyReport, group: str) -> list[Row]:
    """By `group`, the largest first."""
    found = sorted((row for row in report.rows if not row.label), key=lambda row: _place(row, group))
    return [_named(row, group, report.total) for row in found]


def _place(row: EnergyRow, group: str) -> tuple[bool, Decimal, str]:
    """Those who have no row of their own come last."""
    return row.groups[group] == ENERGY_OTHERS, -row.amounts.kwh, row.groups[group]


def _named(row: EnergyRow, group: str, whole: EnergyAmounts) -> Row:
    name = row.groups[group]
    if name == ENERGY_OTHERS:
        return _row("All other customers", row.amounts, whole)
    return replace(_row(name or "(none)", row.amounts, whole), link=group == "tenant" and bool(name))


def regrouped(report: EnergyReport, group: str) -> EnergyReport:
    """By one of the groups that it has."""
    held: defaultdict[tuple[str, str], list[EnergyAmounts]] = defaultdict(list)
    for row in report.rows:
        held["" if row.label else row.groups[group], row.label].append(row.amounts)
    rows = tuple(
        EnergyRow(report.start, {group: name}, label, energy_total(amounts)) for (name, label), amounts in held.items()
    )
    return replace(report, rows=rows)


def several(report: EnergyReport) -> bool:
    return sum(1 for row in report.rows if not row.label) > 1


def nobodys_rows(report: EnergyReport) -> list[Row]:
    """Idle, then each cause, in their order; of a report by tenant or tier, in which each has one row."""
    order = list(nobodys.NAMES)
    found = sorted((row for row in report.rows if row.label), key=lambda row: order.index(row.label))
    return [
        _row(nobodys.name(row.label), row.amounts, report.total, nobodys.MEANINGS[row.label], nobody=True)
        for row in found
    ]


def total(report: EnergyReport) -> Row:
    return _row("", report.total, report.total)


def power_tiles(here: Sequence[ClusterPower]) -> list[Tile]:
    """What is drawn now, over the last minutes; nothing if no GPU tells."""
    if not here:
        return []
    power, limits = sum(one.power_w for one in here), [one.limit_w for one in here if one.limit_w is not None]
    gpus = formats.counted(sum(one.gpus for one in here), "GPU")
    if len(limits) < len(here):
        return [Tile("power", "Power now", formats.rate(power / 1000), "kW", f"{gpus}; not all tell their limit")]
    cap = sum(limits)
    note = f"{formats.percent(power / cap if cap else None)} of the cap of {formats.rate(cap / 1000)} kW; {gpus}"
    return [Tile("power", "Power now", formats.rate(power / 1000), "kW", note, "bad" if power > cap else "")]


def conservation(found: EnergyConservation | None) -> list[Part]:
    """The counters, then their parts, then by how much these do not come to them. Nothing without counters."""
    if found is None or not found.counters:
        return []
    named = [("Customers", "split by the work of their requests", found.attributed)]
    named += [(nobodys.name(label), nobodys.MEANINGS[label], found.nobodys[label]) for label in nobodys.NAMES]
    parts = [Part(name, meaning, _kwh_exact(kwh), _part(kwh, found.counters)) for name, meaning, kwh in named]
    difference = Part(
        "Difference", "hours are rounded to billionths of a kWh", _kwh_exact(found.difference), _tiny(found)
    )
    return [
        Part("Counters", "what the GPUs' energy counters say", _kwh_exact(found.counters), "100 %"),
        *parts,
        difference,
    ]


def _kwh_exact(kwh: Decimal) -> str:
    return formats.signed(kwh.quantize(NANO))


def _tiny(found: EnergyConservation) -> str:
    return "0 %" if not found.difference else f"{float(abs(found.difference) / found.counters):.0e} of it"


def tiles(report: EnergyReport, health: EnergyHealth | None, before: EnergyAmounts | None = None) -> list[Tile]:
    whole = report.total
    idle = _kwh(report, "idle")
    unattributed = sum((_kwh(report, label) for label in nobodys.NAMES if label != "idle"), Decimal(0))
    attributed = sum((row.amounts.kwh for row in report.rows if not row.label), Decimal(0))
    return [
        Tile(
            "kwh", "Energy", formats.quantity(whole.kwh), "kWh", f"what the GPUs' counters say{_since(whole, before)}"
        ),
        _per_token(whole, attributed),
        *_cost_tiles(whole),
        _co2(whole),
        Tile("idle", "Idle", *_share(idle, whole.kwh), f"{formats.quantity(idle)} kWh"),
        Tile("unattributed", "Unattributed", *_share(unattributed, whole.kwh), f"{formats.quantity(unattributed)} kWh"),
        _conservation(health),
        Tile("settled", "Closed until", formats.clock(report.closed_until), "", "later minutes may still change"),
    ]


def _since(whole: EnergyAmounts, before: EnergyAmounts | None) -> str:
    """How much more or less than in the period before."""
    if before is None:
        return ""
    if not before.kwh:
        return "; nothing in the period before"
    return f"; {change(float(whole.kwh / before.kwh - 1))} on the period before"


def change(ratio: float) -> str:
    """0.12 -> '+12.0 %'."""
    return f"{'+' if ratio > 0 else formats.MINUS if ratio < 0 else ''}{formats.percent(abs(ratio))}"


def findings(report: EnergyReport, health: EnergyHealth | None) -> list[Finding]:
    """What keeps the figures from being right or whole."""
    found = []
    if health is not None and health.windows_not_conserved:
        count = formats.counted(health.windows_not_conserved, "window")
        text = f"In {count} of the last 24 hours the parts are not what the counter says, by up to {_relative(health.worst_error)}."
        found.append(Finding(BAD, text, "The server's log names them. Please report it."))
    if report.total.unpriced_kwh:
        text = f"{_part(report.total.unpriced_kwh, report.total.kwh)} of the energy has no price, and is in no cost."
        found.append(
            Finding(WARN, text, "Set one: manage.py set_energy_price --region '*' --per-kwh 0.21 --currency EUR")
        )
    if report.total.co2_unknown_kwh:
        text = (
            f"For {_part(report.total.co2_unknown_kwh, report.total.kwh)} of the energy the CO2 of a kWh is not known."
        )
        found.append(Finding(WARN, text, "Set it: manage.py set_carbon_intensity --region '*' --g-per-kwh 230"))
    return found


def coefficients(found: Sequence[CoefficientsInfo]) -> list[Coefficients]:
    return [
        Coefficients(
            model=one.model,
            product=one.product or formats.NOTHING,
            simulated=one.simulated,
            assumed=one.assumed,
            prefill=_with_error(one.prefill_j, one.prefill_error_j),
            context=_with_error(one.prefill_context_j, one.prefill_context_error_j, times=1000),
            decode=_with_error(one.decode_j, one.decode_error_j),
            decode_w=formats.NOTHING if one.decode_w is None else _with_error(one.decode_w, one.decode_error_w),
            r_squared=formats.NOTHING if one.r_squared is None else f"{one.r_squared:.3f}",
            windows=formats.whole(one.windows) if one.windows else formats.NOTHING,
            data=f"{one.data_from:%Y-%m-%d} to {one.data_until:%Y-%m-%d}"
            if one.data_from and one.data_until
            else formats.NOTHING,
            refused=one.latest_refused,
        )
        for one in found
    ]


def _row(name: str, one: EnergyAmounts, whole: EnergyAmounts, meaning: str = "", *, nobody: bool = False) -> Row:
    places = _places(whole)
    return Row(
        name=name,
        meaning=meaning,
        simulated=one.simulated,
        requests=formats.NOTHING if nobody else formats.whole(one.requests),
        input_tokens=formats.NOTHING if nobody else formats.whole(round(one.prefill_tokens)),
        output_tokens=formats.NOTHING if nobody else formats.whole(round(one.decode_tokens)),
        kwh=formats.quantity(one.kwh, whole.kwh),
        share=_part(one.kwh, whole.kwh),
        per_output_token=joules(one.joules_per_output_token),
        per_token=joules(_per_token_of(one)),
        costs=tuple((currency, _amount(amount, places)) for currency, amount in one.energy_cost.items()),
        unpriced=_part(one.unpriced_kwh, one.kwh) if one.unpriced_kwh else "",
        co2_kg=_kg(one, whole),
    )


def _per_token_of(one: EnergyAmounts) -> float | None:
    tokens = one.prefill_tokens + one.decode_tokens
    return float(one.joules) / tokens if tokens > 0 else None


def _kg(one: EnergyAmounts, whole: EnergyAmounts) -> str:
    if one.kwh and one.co2_unknown_kwh == one.kwh:
        return formats.NOTHING
    return formats.quantity(one.co2_g / G_PER_KG, whole.co2_g / G_PER_KG)


def _kwh(report: EnergyReport, label: str) -> Decimal:
    return sum((row.amounts.kwh for row in report.rows if row.label == label), Decimal(0))


def _per_token(whole: EnergyAmounts, attributed: Decimal) -> Tile:
    without = float(attributed) * formats.J_PER_KWH / whole.decode_tokens if whole.decode_tokens else None
    note = f"with idle and unattributed; {joules(without)} without"
    return Tile("per-token", "Per output token", joules(whole.joules_per_output_token), "J", note)


def _cost_tiles(whole: EnergyAmounts) -> list[Tile]:
    note = (
        f"{_part(whole.unpriced_kwh, whole.kwh)} of the energy has no price"
        if whole.unpriced_kwh
        else "all of it priced"
    )
    if not whole.energy_cost:
        return [Tile("cost", "Cost", formats.NOTHING, "", "no price per kWh is set")]
    return [
        Tile(f"cost-{currency}", "Cost", _amount(amount, _places(whole)), currency, note)
        for currency, amount in whole.energy_cost.items()
    ]


def _co2(whole: EnergyAmounts) -> Tile:
    if whole.co2_unknown_kwh == whole.kwh:
        return Tile("co2", "CO2", formats.NOTHING, "", "no intensity is set")
    unknown = whole.co2_unknown_kwh
    note = f"without {_part(unknown, whole.kwh)} of the energy" if unknown else "at the intensity of its region"
    return Tile("co2", "CO2", formats.quantity(whole.co2_g / G_PER_KG), "kg", note)


def _conservation(health: EnergyHealth | None) -> Tile:
    """None: not read yet."""
    if health is None:
        return Tile("error", "Conservation error", "…", "", "parts against the counter")
    value = _relative(health.worst_error) if health.windows else formats.NOTHING
    note = f"parts against the counter, worst of {formats.counted(health.windows, 'window')} in 24 h"
    return Tile("error", "Conservation error", value, "", note, "bad" if health.windows_not_conserved else "")


def _relative(error: float) -> str:
    return "0" if error == 0 else f"{error:.0e}"


def _share(part: Decimal, whole: Decimal) -> tuple[str, str]:
    value, _, unit = _part(part, whole).partition(" ")
    return value, unit


def _part(part: Decimal, whole: Decimal) -> str:
    """A share of the energy, or a dash where there is none."""
    return formats.percent(float(part / whole) if whole else None)


def _places(whole: EnergyAmounts) -> Decimal:
    return CENTS if max(whole.energy_cost.values(), default=Decimal(0)) >= FINE_BELOW else FINE


def _amount(amount: Decimal, places: Decimal) -> str:
    return f"{amount.quantize(places, ROUND_HALF_EVEN):,f}"


def joules(value: float | None) -> str:
    """Three significant digits."""
    return (
        formats.NOTHING if value is None else f"{value:,.{2 if value >= 1 else 3}f}" if value >= 0.1 else f"{value:.2g}"
    )


def _with_error(value: float, error: float | None, *, times: int = 1) -> str:
    return f"{value * times:.3g}" if error is None else f"{value * times:.3g} ± {error * times:.1g}"
