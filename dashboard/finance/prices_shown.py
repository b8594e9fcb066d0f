"""Prices as text: what one costs and what it is for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from billing.public import ANY_MODEL, METER, PriceChange, PriceInfo, PriceRow, payable
from dashboard import formats

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PER_MILLION = 1_000_000
WITHDRAWN = "withdrawn"
CHARGE_MODELS = {
    "per_unit": "per unit",
    "graduated": "graduated",
    "volume": "volume",
    "package": "package",
    "percentage": "percentage",
    WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True)
class Line:
    """A row of a table of prices. `state`: '' in force, else a word: `later`, `draft`."""

    model: str
    kind: str
    matches: str
    price: str
    charge_model: str
    starts: str
    ends: str
    version: int
    state: str
    currency: str
    source: str


@dataclass(frozen=True)
class ChangeLine:
    """One key of a difference. `what`: added, changed or withdrawn. `share`: how much dearer or cheaper, '' where that says nothing."""

    model: str
    kind: str
    matches: str
    currency: str
    what: str
    before: str
    after: str
    starts: str
    share: str
    dearer: bool


def lines(prices: Iterable[PriceInfo], now: datetime) -> list[Line]:
    return [_line(one, now) for one in prices]


def change_lines(changes: Iterable[PriceChange]) -> list[ChangeLine]:
    return [_change(one) for one in changes]


def concerns(one: PriceInfo | None, model: str) -> bool:
    """Whether the price is one of a model with this in its name; '' of any."""
    return one is not None and model.lower() in one.row.model.lower()


def model(name: str) -> str:
    return "any model" if name == ANY_MODEL else name


def kind(name: str) -> str:
    """'cached_input' -> 'cached input', 'meter:gpu_seconds' -> 'meter gpu_seconds'."""
    slug = name.removeprefix(METER)
    return f"meter {slug}" if slug != name else formats.words(name)


def matches(tier: str, operation: str, region: str, context_over: int) -> str:
    """What else a price asks for; '' for one that holds for everything."""
    parts = [f"tier {tier}" if tier else "", operation, f"in {region}" if region else ""]
    if context_over:
        parts.append(f"over {context_over:,} input tokens")
    return ", ".join(part for part in parts if part)


def price(row: PriceRow) -> str:
    """'0.60 USD per million', 'up to 1,000,000: 0.60; above: 0.50 USD per million'."""
    if row.charge_model == WITHDRAWN:
        return "no price"
    if row.charge_model == "percentage":
        fixed = f" + {_number(row.fixed, row)} {row.currency} each" if row.fixed else ""
        return f"{formats.exact(Decimal(str(row.rate)) * 100)} %{fixed}"
    if row.tiers:
        return f"{_tiers(row)} {row.currency} {_per(row)}"
    started = "started " if row.charge_model == "package" else ""
    return f"{_number(row.amount, row)} {row.currency} {_per(row, started)}"


def moment(starts: datetime | None) -> str:
    if starts is None:
        return formats.NOTHING
    return "the beginning" if starts == BEGINNING else f"{starts.astimezone(UTC):%Y-%m-%d %H:%M}"


def share(rise: Decimal | None) -> str:
    """0.1 -> '+10.0 %'."""
    if rise is None:
        return ""
    text = formats.signed(round(rise * 100, 1))
    return f"{'+' if rise > 0 else ''}{text} %"


def _line(one: PriceInfo, now: datetime) -> Line:
    state = "draft" if not one.dated else "later" if one.starts > now else ""
    starts = "when published" if not one.dated else moment(one.starts)
    row = one.row
    return Line(
        model(row.model),
        kind(row.kind),
        matches(row.tier, row.operation, row.region, row.context_over),
        price(row),
        CHARGE_MODELS[row.charge_model],
        starts,
        moment(one.ends),
        one.version,
        state,
        row.currency,
        f"{one.book}, version {one.version}",
    )


def _change(one: PriceChange) -> ChangeLine:
    shown = one.after or one.before
    if shown is None:
        raise ValueError("a change has a price before or after it")
    row = shown.row
    gone = one.after is None or one.after.withdrawn
    new = one.before is None or one.before.withdrawn
    return ChangeLine(
        model(row.model),
        kind(row.kind),
        matches(row.tier, row.operation, row.region, row.context_over),
        row.currency,
        "withdrawn" if gone else "added" if new else "changed",
        formats.NOTHING if one.before is None else price(one.before.row),
        formats.NOTHING if one.after is None else price(one.after.row),
        "when published" if not shown.dated else moment(shown.starts),
        share(one.share),
        one.share is not None and one.share > 0,
    )


def _tiers(row: PriceRow) -> str:
    parts = []
    for one in row.tiers or ():
        bound = "above" if one["up_to"] is None else f"up to {int(one['up_to']):,}"
        flat = f" and {_number(one['flat'], row)} flat" if Decimal(str(one["flat"])) else ""
        parts.append(f"{bound}: {_number(one['amount'], row)}{flat}")
    return "; ".join(parts)


def _per(row: PriceRow, started: str = "") -> str:
    tokens = not (row.kind.startswith(METER) or row.kind == "request")
    per = row.per or (PER_MILLION if tokens else 1)
    if tokens:
        return f"per {started}million" if per == PER_MILLION else f"per {started}{per:,} tokens"
    unit = "request" if row.kind == "request" else "unit"
    return f"per {started}{unit}" if per == 1 else f"per {started}{per:,} {unit}s"


def _number(amount: object, row: PriceRow) -> str:
    """With at least the digits of the currency: 0.60, not 0.6."""
    return formats.places(Decimal(str(amount)), len(str(payable(Decimal(0), row.currency)).partition(".")[2]))
