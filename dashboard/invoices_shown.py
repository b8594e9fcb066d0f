"""An invoice or a draft as its page shows it: how each line is named and priced, and how its state is coloured."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.contracts import InvoiceEventInfo, InvoiceLineInfo
from billing.public import METER
from dashboard.formats import NOTHING, counted, decimals, exact, places, whole, words

EACH = 1
MILLION = 1_000_000
STATES = {"paid": "win", "past_due": "alert", "uncollectible": "alert", "void": "bound"}
PER_LINE = {"usage", "adjustment"}  # what has a model, a kind and a price


@dataclass(frozen=True)
class LineShown:
    """`name`: the model, or what else it is for. `note`: what a reader must know besides, in words. `has_requests`: it leads to them."""

    line: InvoiceLineInfo
    name: str
    kind: str
    quantity: str
    price: str
    note: str
    has_requests: bool


def state_class(status: str) -> str:
    """The class of the tag that names a state."""
    return STATES.get(status, "")


def lines_shown(lines: Sequence[InvoiceLineInfo]) -> list[LineShown]:
    prices = [line.unit_amount for line in lines if line.unit_amount is not None and line.per == MILLION]
    digits = max((decimals(price) for price in prices), default=0)
    return [_shown(line, digits) for line in lines]


def event_said(event: InvoiceEventInfo) -> str:
    """What an entry of the history says besides its type."""
    detail = {name: value for name, value in event.detail.items() if value not in (None, "", {})}
    return ", ".join(f"{words(name)}: {_plain(value)}" for name, value in detail.items())


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(line: InvoiceLineInfo, digits: int) -> LineShown:
    of_usage = line.type in PER_LINE and bool(line.model or line.kind)
    return LineShown(
        line,
        name=(line.model or words(line.kind)) if of_usage else words(line.type).capitalize(),
        kind=_kind(line) if of_usage else "",
        quantity=_quantity(line),
        price=_price(line, digits) if of_usage else NOTHING,
        note=_note(line, of_usage=of_usage),
        has_requests=of_usage and bool(line.quantity) and not line.kind.startswith(METER),
    )


def _kind(line: InvoiceLineInfo) -> str:
    where = [line.operation, line.region, f"over {whole(line.context_over)} tokens" if line.context_over else ""]
    return ", ".join([words(line.kind.removeprefix(METER)), *(part for part in where if part)])


def _quantity(line: InvoiceLineInfo) -> str:
    if not line.quantity:
        return NOTHING
    text = exact(line.quantity)
    return text if line.unit == "tokens" else f"{text} {line.unit}".strip()


def _price(line: InvoiceLineInfo, digits: int) -> str:
    if not line.billed:
        return "not billed"
    if line.unit_amount is None:
        return words(line.charge_model) or NOTHING
    if line.per == MILLION:
        return places(line.unit_amount, digits)
    return f"{exact(line.unit_amount)} {'each' if line.per == EACH else f'per {whole(line.per)}'}"


def _note(line: InvoiceLineInfo, *, of_usage: bool) -> str:
    if line.type == "usage" and line.charge_model in {"", "per_unit"} and not line.included:
        return ""
    if of_usage and line.included and line.charge_model == "per_unit":
        return f"{line.explanation}"
    return line.explanation


def overdue(days: int) -> str:
    """`3 days late`, `due in 2 days`, `due today`."""
    if days == 0:
        return "due today"
    return f"{counted(days, 'day')} late" if days > 0 else f"due in {counted(-days, 'day')}"
