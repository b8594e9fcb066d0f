"""What a price is before it is in a book: the row that somebody wrote, checked and made plain. Nothing here reads a database but the
meters' slugs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from billing import rating
from billing.models import PRICE_DIGITS, Price
from metering import public as metering
from metering.contracts import BUCKET_MINUTES, CONTEXT_EDGES

BUCKET = timedelta(minutes=BUCKET_MINUTES)
REQUEST = "request"  # a price for each request, beside those of its tokens
METER = "meter:"
PER_MILLION = 1_000_000
RATE_DIGITS = 10
MODELS = {choice.value for choice in Price.ChargeModel}
TIERED = {Price.ChargeModel.GRADUATED, Price.ChargeModel.VOLUME}
LONGEST = {"model": 200, "tier": 64, "operation": 64, "region": 64}
Key = tuple[str, str, str, str, str, int, str]
Amount = Decimal | int | str


class PriceRefused(ValueError):
    """A price that cannot be added, with the reason."""


@dataclass(frozen=True)
class PriceRow:
    """A row of a book, as `billing.models.Price` has it. `per` None: a million for tokens, one for requests and meters.

    `effective_from` None: when its version is published. `tiers`: {"up_to": whole number, "amount", "flat"} in order, None in the last.
    """

    model: str
    kind: str
    currency: str
    tier: str = ""
    operation: str = ""
    region: str = ""
    context_over: int = 0
    charge_model: str = Price.ChargeModel.PER_UNIT
    amount: Amount | None = None
    per: int | None = None
    tiers: tuple[Mapping[str, Any], ...] | None = None
    rate: Amount | None = None
    fixed: Amount | None = None
    effective_from: datetime | None = None

    @property
    def key(self) -> Key:
        """What it is a price of. A later row of the same key takes its place."""
        return (self.model, self.kind, self.tier, self.operation, self.region, self.context_over, self.currency)

    @property
    def terms(self) -> tuple[object, ...]:
        """What it costs, whatever the moment from which on."""
        tiers = tuple(tuple(sorted(one.items(), key=lambda item: item[0])) for one in self.tiers or ())
        return (self.charge_model, self.amount, self.per, tiers, self.rate, self.fixed)

    def __str__(self) -> str:
        parts = [self.model, self.kind, self.tier, self.operation, self.region]
        over = f"over {self.context_over:,} tokens" if self.context_over else ""
        return " ".join(part for part in (*parts, over, self.currency) if part)


def checked(row: PriceRow) -> PriceRow:
    """The same price in its plain form: numbers are Decimal, the kind has its own name. Raises PriceRefused with the reason."""
    kind = _kind(row.kind)
    row = replace(row, kind=kind, per=row.per or _usual_per(kind), effective_from=_moment(row.effective_from))
    _check_currency(row.currency)
    _check_matchers(row)
    if row.charge_model not in MODELS:
        raise PriceRefused(f"unknown charge model {row.charge_model!r}: one of {', '.join(sorted(MODELS))}")
    if not 0 < row.per <= 2**62:  # type: ignore[operator] # set above
        raise PriceRefused(f"a price is for at least one unit, not for {row.per}")
    return _CHARGES[Price.ChargeModel(row.charge_model)](row)


def all_checked(rows: Iterable[PriceRow]) -> list[PriceRow]:
    """As `checked`; an error names the row by its place, counted from 1. Of one key and moment there is one price."""
    found: list[PriceRow] = []
    seen: dict[tuple[Key, datetime | None], int] = {}
    for place, row in enumerate(rows, start=1):
        try:
            one = checked(row)
        except PriceRefused as error:
            raise PriceRefused(f"row {place} ({row}): {error}") from None
        first = seen.setdefault((one.key, one.effective_from), place)
        if first != place:
            raise PriceRefused(f"row {place} ({row}) has the key and the moment of row {first}")
        found.append(one)
    return found


def bucket_edge(moment: datetime) -> datetime:
    """The first edge of the ledger's buckets at or after `moment`."""
    since = moment.astimezone(UTC) - rating.BEGINNING
    return rating.BEGINNING + -(-since // BUCKET) * BUCKET


def _kind(text: str) -> str:
    if text == REQUEST:
        return text
    if text.startswith(METER):
        slug = text.removeprefix(METER)
        meter = metering.find_meter(slug)
        if meter is None or meter.slug != slug:
            raise PriceRefused(f"there is no meter {slug!r}: define it first (manage.py define_meter)")
        if meter.measure:  # it would bill the same tokens twice
            raise PriceRefused(f"meter {slug!r} measures requests, whose prices are those of tokens and of `{REQUEST}`")
        return text
    try:
        return str(rating.kind_named(text))
    except ValueError as error:
        raise PriceRefused(f"{error}, {REQUEST}, or {METER}<slug>") from None


def _usual_per(kind: str) -> int:
    return 1 if kind == REQUEST or kind.startswith(METER) else PER_MILLION


def _moment(asked: datetime | None) -> datetime | None:
    if asked is None:
        return None
    if asked.tzinfo is None or asked != bucket_edge(asked):
        raise PriceRefused(f"a price begins on a quarter of an hour (UTC), not at {asked.isoformat()}")
    return asked.astimezone(UTC)


def _check_currency(currency: str) -> None:
    try:
        rating.minor_digits(currency)
    except ValueError as error:
        raise PriceRefused(str(error)) from None


def _check_matchers(row: PriceRow) -> None:
    if not row.model or any(len(getattr(row, name)) > longest for name, longest in LONGEST.items()):
        raise PriceRefused(
            "a price needs the name of a model (at most 200 characters, '*' for any), and a tier, operation and region of at most 64"
        )
    if any("\x00" in getattr(row, name) for name in LONGEST):
        raise PriceRefused("a name holds a NUL character")
    if row.context_over and row.context_over not in CONTEXT_EDGES:
        edges = ", ".join(f"{edge:,}" for edge in CONTEXT_EDGES)
        raise PriceRefused(f"a context threshold is an edge of the ledger's bands, not {row.context_over:,}: {edges}")
    if row.kind.startswith(METER) and (row.operation or row.context_over):
        raise PriceRefused(
            "what a meter measures has a model, a tier and a region, but no operation and no context length"
        )


def _number(value: Any, name: str, *, digits: int = PRICE_DIGITS[0], places: int = PRICE_DIGITS[1]) -> Decimal:
    if value is None:
        raise PriceRefused(f"a price of this charge model needs {name}")
    if isinstance(value, float):
        raise PriceRefused(f"an amount is text or a decimal, not the binary fraction {value!r}")
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise PriceRefused(f"{value!r} is not a decimal number") from None
    if not number.is_finite() or number.is_signed() or number >= Decimal(10) ** (digits - places):
        raise PriceRefused(f"a price is at least 0 and below 10^{digits - places}, not {value}")
    if number != round(number, places):
        raise PriceRefused(f"a price has at most {places} digits after the point, not {value}")
    return number


def _refuse(row: PriceRow, *names: str) -> None:
    """What this charge model has no place for is refused, not ignored."""
    for name in names:
        if getattr(row, name) not in (None, ()):
            raise PriceRefused(f"a price of charge model {row.charge_model} has no {name}")


def _amount(row: PriceRow) -> PriceRow:
    _refuse(row, "tiers", "rate", "fixed")
    return replace(row, amount=_number(row.amount, "an amount"), tiers=None)


def _tiered(row: PriceRow) -> PriceRow:
    _refuse(row, "amount", "rate", "fixed")
    tiers = tuple(_tier(one) for one in row.tiers or ())
    if problems := rating.tier_problems(rating.tiers_of(tiers)):
        raise PriceRefused("; ".join(problems))
    return replace(row, tiers=tiers)


def _tier(one: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(one) - {"up_to", "amount", "flat"}:
        raise PriceRefused(f"a tier has up_to, amount and flat, not {min(unknown)!r}")
    up_to = one.get("up_to")
    if up_to is not None and (isinstance(up_to, bool) or not isinstance(up_to, int) or not 0 < up_to <= 2**62):
        raise PriceRefused(f"up_to is a whole number above 0, or null in the last tier, not {up_to!r}")
    amount, flat = _number(one.get("amount", 0), "an amount"), _number(one.get("flat", 0), "a flat amount")
    return {"up_to": up_to, "amount": rating.plain(amount), "flat": rating.plain(flat)}


def _percentage(row: PriceRow) -> PriceRow:
    _refuse(row, "amount", "tiers")
    if not row.kind.startswith(METER):
        raise PriceRefused("a percentage is of money, which only a meter measures")
    rate = _number(row.rate, "a rate", digits=12, places=RATE_DIGITS)
    return replace(row, rate=rate, fixed=None if row.fixed is None else _number(row.fixed, "a fixed amount"))


def _withdrawn(row: PriceRow) -> PriceRow:
    _refuse(row, "amount", "tiers", "rate", "fixed")
    return row


_CHARGES = {
    Price.ChargeModel.PER_UNIT: _amount,
    Price.ChargeModel.PACKAGE: _amount,
    Price.ChargeModel.GRADUATED: _tiered,
    Price.ChargeModel.VOLUME: _tiered,
    Price.ChargeModel.PERCENTAGE: _percentage,
    Price.ChargeModel.WITHDRAWN: _withdrawn,
}
