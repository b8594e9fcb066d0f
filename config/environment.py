"""Typed readers of environment variables: the only place that reads `os.environ` for settings.

Every name read here is documented in docs/settings.md; a test compares the two.
"""

import os
from collections.abc import Callable
from pathlib import Path


class SettingError(ValueError):
    """A variable holds a value that cannot be used; the message names the variable and what it takes."""


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def integer(name: str, default: int, *, least: int = 0) -> int:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        value = int(raw)
    except ValueError:
        raise SettingError(f"{name}={raw!r}: expected a whole number") from None
    if value < least:
        raise SettingError(f"{name}={raw!r}: expected at least {least}")
    return value


def number(name: str, default: float, *, least: float = 0, most: float = float("inf")) -> float:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        value = float(raw)
    except ValueError:
        raise SettingError(f"{name}={raw!r}: expected a number") from None
    if not least <= value <= most:  # NaN is in no range
        raise SettingError(f"{name}={raw!r}: expected {least:g} to {most:g}")
    return value


def flag(name: str, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    lowered = raw.lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise SettingError(f"{name}={raw!r}: expected 1 or 0")


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list; blanks around items are dropped."""
    raw = os.environ.get(name)
    if raw is None:
        return list(default)
    return [item.strip() for item in raw.split(",") if item.strip()]


def whole_numbers(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """A comma-separated list of whole numbers, none below 0. Set, but empty: none."""
    return _numbers(name, default, str.isdecimal, "whole numbers with commas between them")


def signed_numbers(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """The same with numbers below 0: `-3,0,7`."""
    return _numbers(name, default, lambda item: item.removeprefix("-").isdecimal(), "whole numbers such as -3,0,7")


def _numbers(name: str, default: tuple[int, ...], allowed: Callable[[str], bool], expected: str) -> tuple[int, ...]:
    raw = os.environ.get(name)
    if raw is None:
        return default
    items = [item.strip() for item in raw.split(",") if item.strip()]
    if not all(allowed(item) for item in items):
        raise SettingError(f"{name}={raw!r}: expected {expected}")
    return tuple(int(item) for item in items)


def amounts(name: str) -> dict[str, float]:
    """Amounts above 0 by name: `eu-north-1-a=450,us-east-1-a=120.5`."""
    found = {}
    for item in words(name):
        key, _, text = item.partition("=")
        try:
            found[key.strip()] = float(text)
        except ValueError:
            raise SettingError(f"{name}={item!r}: expected name=number, with commas between them") from None
        if not (key.strip() and 0 < found[key.strip()] < float("inf")):
            raise SettingError(f"{name}={item!r}: expected a name and a number above 0")
    return found


def folder(name: str, default: Path) -> Path:
    raw = os.environ.get(name)
    return Path(raw).expanduser().resolve() if raw else default.resolve()
