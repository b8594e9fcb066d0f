"""Margins as text: the tiles, the rows and the notes of their page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.contracts import MarginAmounts, MarginGap, MarginReport, MarginRow
from billing.public import payable
from dashboard import formats, nobodys
from dashboard.operator.tiles import Tile

S_PER_HOUR = 3600
# ISO 4217's code for none: of usage by somebody who is not, or no longer, in the list of customers.
NO_CURRENCY = "XXX"
WHY = {
    MarginGap.UNPRICED_USAGE: "tokens without a price",
    MarginGap.UNPRICED_ENERGY: "energy without a price",
    MarginGap.UNPRICED_GPU_TIME: "GPU time without a cost",
    MarginGap.NOT_MEASURED: "energy not measured",
    MarginGap.OPEN: "not settled yet",
    MarginGap.CURRENCIES_DIFFER: "more than one currency",
}
UNPRICED = {MarginGap.UNPRICED_ENERGY, MarginGap.UNPRICED_GPU_TIME}


@dataclass(frozen=True)
class Note:
    """Why some margins are not stated, and what to do; `command` is one to type, '' for none."""

    text: str
    advice: str
    command: str = ""


NOTES = {
    MarginGap.UNPRICED_USAGE: Note(
        "Some tokens have no price in their customer's currency.",
        "Their revenue is not known. Set one:",
        "manage.py set_price --model M --kind K --per-million X --currency C",
    ),
    MarginGap.UNPRICED_ENERGY: Note(
        "Some energy has no price.",
        "A part of a cost would pass for all of it, so it is not shown. Set the price of a kWh, by region and hour of day:",
        "manage.py set_energy_price --region R --per-kwh X --currency C",
    ),
    MarginGap.UNPRICED_GPU_TIME: Note(
        "Some GPU time has no cost.",
        "Set what an hour of a GPU costs, by product and region:",
        "manage.py set_gpu_price --product P --per-gpu-hour X --currency C",
    ),
    MarginGap.NOT_MEASURED: Note(
        "For some usage no energy is known.",
        "Either no agent runs on the nodes that served it, or its events name no node and engine. docs/agent.md says how to mend that.",
    ),
    MarginGap.OPEN: Note(
        "Some of the energy is not settled.",
        "It is about ten minutes after it was used; minutes for which something arrived late are worked up again.",
    ),
    MarginGap.CURRENCIES_DIFFER: Note(
        "Some revenue and costs are in different currencies.",
        "Nothing is ever converted: compare the parts, which stand beside each other.",
    ),
}


@dataclass(frozen=True)
class Amounts:
    """One line of money in one currency, to its minor unit; a dash where a part is not known."""

    currency: str
    revenue: str
    energy_cost: str
    gpu_cost: str


@dataclass(frozen=True)
class Line:
    """One customer or model, or what is nobody's. `why`: what keeps the margin from being stated, or a remark on it. `listed`: it is not
    usage of somebody who is not in the list of customers."""

    name: str
    listed: bool
    simulated: bool
    requests: str
    kwh: str
    gpu_h: str
    amounts: tuple[Amounts, ...]
    margin: str
    share: str
    loss: bool
    why: tuple[str, ...]


def lines(report: MarginReport, group: str, between: tuple[int, int] | None = None) -> list[Line]:
    """Of `group`, tenant or model: the largest revenue first. `between`: of these only those in such places."""
    owned = sorted(
        (row for row in report.rows if not row.label), key=lambda row: (-_revenue(row), row.tenant, row.model)
    )
    return [_line(row, group, report.total) for row in (owned[slice(*between)] if between else owned)]


def nobodys_lines(by_tenant: MarginReport) -> list[Line]:
    """What is nobody's, of all models: idle, then each cause."""
    order = list(nobodys.NAMES)
    labelled = (row for row in by_tenant.rows if row.label)
    return [
        _line(row, "", by_tenant.total)
        for row in sorted(labelled, key=lambda row: (row.label not in order, *_place(order, row)))
    ]


def _place(order: list[str], row: MarginRow) -> tuple[int, str]:
    return (order.index(row.label) if row.label in order else 0, row.label)


def total(report: MarginReport) -> Line:
    return _line(report.total, "", report.total)


def notes(report: MarginReport) -> list[Note]:
    return [NOTES[gap] for gap in report.total.gaps]


def only_currency(report: MarginReport) -> str:
    """The currency of all amounts of the month, '' if there are several."""
    found = {one.currency for row in (*report.rows, report.total) for one in row.amounts} - {NO_CURRENCY}
    return found.pop() if len(found) == 1 else ""


def tiles(report: MarginReport) -> list[tuple[str, list[Tile]]]:
    """A row of them for each currency. What has none has no amount either."""
    found, several = report.total, len(report.total.amounts) > 1
    return [
        (one.currency, [*_parts(one, report.rows), *([] if several else [_margin_tile(found, one.currency)])])
        for one in found.amounts
        if one.currency != NO_CURRENCY
    ]


def _parts(one: MarginAmounts, rows: Sequence[MarginRow]) -> list[Tile]:
    return [
        Tile("revenue", "Revenue", *_value(one.revenue, one.currency), "usage at its prices, before tax"),
        Tile("energy", "Energy", *_value(one.energy_cost, one.currency), "at the price of region and hour"),
        Tile("gpu", "GPU time", *_value(one.gpu_cost, one.currency), "at its cost per hour"),
        Tile(
            "nobodys",
            "Idle and unattributed",
            *_value(_unused(rows, one.currency), one.currency),
            "of these costs, nobody's",
        ),
    ]


def _unused(rows: Sequence[MarginRow], currency: str) -> Decimal | None:
    """What nobody's energy and GPU time cost; None where a part of it has no price."""
    nobodys_rows = [row for row in rows if row.label]
    if any(gap in UNPRICED for row in nobodys_rows for gap in row.gaps):
        return None
    amounts = (one for row in nobodys_rows for one in row.amounts if one.currency == currency)
    return sum((side for one in amounts for side in (one.energy_cost, one.gpu_cost) if side is not None), Decimal(0))


def _value(amount: Decimal | None, currency: str) -> tuple[str, str]:
    """A tile's value and unit."""
    return _money(amount, currency), "" if amount is None else currency


def _margin_tile(found: MarginRow, currency: str) -> Tile:
    note = f"{_share(found.margin_share)} of revenue" if found.margin is not None else "; ".join(_why(found))
    loss = found.margin is not None and found.margin < 0
    label = "Margin: a loss" if loss else "Margin"
    return Tile("margin", label, *_value(found.margin, currency), note, "bad" if loss else "")


def _line(row: MarginRow, group: str, whole: MarginRow) -> Line:
    return Line(
        name=_name(row, group),
        listed=all(one.currency != NO_CURRENCY for one in row.amounts),
        simulated=row.simulated,
        requests=formats.NOTHING if row.label else formats.whole(row.requests),
        kwh=formats.quantity(row.energy_j / formats.J_PER_KWH, whole.energy_j / formats.J_PER_KWH),
        gpu_h=formats.quantity(row.gpu_s / S_PER_HOUR, whole.gpu_s / S_PER_HOUR),
        amounts=tuple(_amounts(one) for one in row.amounts),
        margin=_money(row.margin, row.amounts[0].currency) if row.amounts else formats.NOTHING,
        share=_share(row.margin_share),
        loss=not row.label and row.margin is not None and row.margin < 0,
        why=_why(row),
    )


def _name(row: MarginRow, group: str) -> str:
    if row.label:
        return nobodys.name(row.label)
    return (row.tenant if group == "tenant" else row.model) or "(none)"


def _why(row: MarginRow) -> tuple[str, ...]:
    found = [WHY[gap] for gap in row.gaps]
    if 0 < row.measured_requests < row.requests:
        found.append(f"energy of {formats.percent(row.measured_requests / row.requests)} of the requests")
    return tuple(found)


def _amounts(one: MarginAmounts) -> Amounts:
    sides = (_money(side, one.currency) for side in (one.revenue, one.energy_cost, one.gpu_cost))
    return Amounts("" if one.currency == NO_CURRENCY else one.currency, *sides)


def _money(amount: Decimal | None, currency: str) -> str:
    return formats.signed(None if amount is None or currency == NO_CURRENCY else payable(amount, currency))


def _share(share: Decimal | None) -> str:
    return formats.NOTHING if share is None else f"{formats.signed(round(share * 100, 1))} %"


def _revenue(row: MarginRow) -> Decimal:
    return max((one.revenue or Decimal(0) for one in row.amounts), default=Decimal(0))
