"""How numbers are written on every page. Pure functions from values to text; a dash stands for "not measured"."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
LATENCY_UNITS = {"ttft_ms": "ms", "tpot_ms": "ms", "e2e_ms": "s"}
J_PER_KWH = 3_600_000


def whole(value: int | None) -> str:
    """18059974 -> '18,059,974'."""
    return NOTHING if value is None else f"{value:,}"


def counted(count: int, name: str) -> str:
    """'1 event', '1,204 events'."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def rate(value: float | None) -> str:
    """A rate with about three significant digits and no exponent: '0.004', '0.42', '38.1', '1,204'."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if value < 10:
        return f"{value:.{2 if value >= 0.1 else 3}f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def percent(ratio: float | None) -> str:
    """0.0042 -> '0.42 %'."""
    if ratio is None:
        return NOTHING
    return "0 %" if ratio == 0 else f"{ratio * 100:.{1 if ratio >= 0.1 else 2}f} %"


def latency(name: str, value_ms: float | None) -> str:
    """In the unit of its column (LATENCY_UNITS), so that a column can be compared by eye."""
    if value_ms is None:
        return NOTHING
    if LATENCY_UNITS[name] == "s":
        return f"{value_ms / 1000:,.2f}"
    return f"{value_ms:,.1f}" if value_ms < 100 else f"{value_ms:,.0f}"


def money(amount: Decimal | None, currency: str) -> str:
    """'1,204.50 USD', with the digits that the amount carries. None where something has no price yet."""
    return NOTHING if amount is None else f"{amount:,f} {currency}"


def exact(amount: Decimal | None) -> str:
    """Every digit, without trailing zeros and without an exponent."""
    if amount is None:
        return NOTHING
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact_money(amount: Decimal | None) -> str:
    """With the digits that it carries, without a currency: for columns and tiles that name it."""
    return NOTHING if amount is None else f"{amount:,f}"


def signed(amount: Decimal | None) -> str:
    """As exact_money, with a minus that is as wide as a digit."""
    return exact_money(amount).replace("-", MINUS)


def quantity(value: float | Decimal | None, of: float | Decimal | None = None) -> str:
    """kWh, kg or hours: '0.042', '9.127', '412.502', '1,204.2'. `of`: the largest of a column, whose digits its numbers share."""
    return NOTHING if value is None else f"{value:,.{3 if (value if of is None else of) < 1000 else 1}f}"


def places(amount: Decimal | None, count: int) -> str:
    """With this many digits after the point, so that a column lines up. `count` is to be enough: no digit is cut."""
    return NOTHING if amount is None else f"{amount:,.{max(count, decimals(amount))}f}"


def decimals(amount: Decimal) -> int:
    """How many digits after the point it needs."""
    _, _, fraction = exact(amount).partition(".")
    return len(fraction)


def share(rate: Decimal) -> str:
    """0.19 -> '19 %'."""
    return f"{exact(rate * 100)} %"


def size(count: int) -> str:
    """Bytes in the unit that fits, by thousands: '812 B', '1.4 kB', '23.0 GB'."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def words(name: str) -> str:
    """'cached_input' -> 'cached input'."""
    return name.replace("_", " ")


def span(length: timedelta) -> str:
    """How long ago, in the one unit that matters: '0.8 s', '12 s', '4 min', '3 h', '2 d'."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, unit in ((86_400 * 2, "d"), (3600 * 2, "h")):
        if seconds >= size:
            return f"{seconds / (size / 2):.0f} {unit}"
    return f"{seconds / 60:.0f} min"


def moment(value: datetime | None) -> str:
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(value: datetime | None, now: datetime | None = None) -> str:
    """'11:45 UTC' on the day of `now` (default: this moment), else the date."""
    if value is None:
        return NOTHING
    same_day = value.astimezone(UTC).date() == (now or datetime.now(UTC)).date()
    return f"{value.astimezone(UTC):%H:%M} UTC" if same_day else f"{value.astimezone(UTC):%Y-%m-%d}"


def month(value: date) -> str:
    """'November 2026'."""
    return f"{value:%B %Y}"
