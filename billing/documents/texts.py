"""How numbers, days and names are written on paper. Pure functions."""

import unicodedata
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.rating.exact import plain

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
SCALES = {1: "", 1_000: "1K", 1_000_000: "1M", 1_000_000_000: "1B"}
UNDRAWN = {"Cc", "Cn", "Cs", "Co"}  # control characters, unassigned ones, lone surrogates, private ones
# They turn the direction of what follows, so that a name could change how an amount reads.
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def money(amount: Decimal) -> str:
    """`1,204.50`, with a minus as wide as a digit. The digits are those that the amount carries."""
    return f"{amount:,f}".replace("-", MINUS)


def exact(amount: Decimal) -> str:
    """All digits, grouped, no zeros at the end: `1,204.5`."""
    whole, point, fraction = plain(amount).partition(".")
    sign = MINUS if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{point}{fraction}"


def price(unit_amount: Decimal, per: int, least_digits: int) -> str:
    """`0.60 / 1M`, with at least the currency's own digits."""
    shown = exact(unit_amount)
    whole, _, fraction = shown.partition(".")
    if least_digits and len(fraction) < least_digits:
        shown = f"{whole}.{fraction.ljust(least_digits, '0')}"
    scale = SCALES.get(per, f"{per:,}")
    return f"{shown}{THIN}/{THIN}{scale}" if scale else shown


def share(rate: Decimal) -> str:
    """0.19 -> `19 %`."""
    return f"{exact(rate * 100)}{THIN}%"


def day(value: date) -> str:
    """`30 November 2026`: no country reads it as another day."""
    return f"{value.day} {value:%B %Y}"


def days(first: date, last: date) -> str:
    """`1 to 30 November 2026`, with as much of the first day as differs."""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    return f"{first.day} {first:%B} to {day(last)}" if first.year == last.year else f"{day(first)} to {day(last)}"


def moment(value: datetime, zone: ZoneInfo) -> str:
    """`2026-11-30 14:15`, local."""
    return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"


def words(name: str) -> str:
    """`cached_input` -> `Cached input`."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def grouped(text: str, size: int = 4) -> str:
    """An IBAN in groups of four."""
    bare = text.replace(" ", "")
    return " ".join(bare[start : start + size] for start in range(0, len(bare), size))


def printable(text: str) -> str:
    """What fonts can draw and nobody can turn around; one space for each run of blanks and breaks."""
    drawn = "".join(_drawn(char) for char in text)
    return " ".join(part for part in drawn.split(" ") if part)


def _drawn(char: str) -> str:
    if char.isspace():
        return char if char == THIN else " "
    return "" if char in TURNING or unicodedata.category(char) in UNDRAWN else char
