"""Terms as JSON: what the API and the commands take and give, read strictly. Money and quantities are text, or whole numbers.

{"plan": "Scale", "commitment": "1000", "flat_fees": [{"code": "base", "description": "Base fee", "amount": "310"}], ...}
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from billing.rating.exact import plain
from billing.rating.terms import (
    Allowance,
    AppliesTo,
    Discount,
    FlatFee,
    Measure,
    Objective,
    PercentageFee,
    Terms,
)

PARTS: dict[str, type[FlatFee] | type[PercentageFee] | type[Allowance] | type[Discount] | type[Objective]] = {
    "flat_fees": FlatFee,
    "percentage_fees": PercentageFee,
    "allowances": Allowance,
    "discounts": Discount,
    "objectives": Objective,
}
_ENUMS: dict[str, type[StrEnum]] = {"applies_to": AppliesTo, "measure": Measure}
_DEFAULTS = {"model": "*", "tier": ""}
_NUMBERS = {"amount", "rate", "minimum", "quantity", "share", "threshold", "credit_share", "commitment"}
_OPTIONAL = {"share", "amount"}  # of a discount: one of the two


class TermsMalformed(ValueError):
    """Not terms as JSON has them; the text says where."""


def terms_from(given: object, base: Terms | None = None) -> Terms:
    """Raises TermsMalformed. `base`: what holds for all that is not given (default: nothing is agreed)."""
    if not isinstance(given, Mapping):
        raise TermsMalformed("terms are an object")
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in PARTS:
            found[name] = _parts(name, value)
        elif name in {"plan", "price_book"}:
            found[name] = _text(name, value)
        elif name == "commitment":
            found[name] = _number(name, value)
        else:
            raise TermsMalformed(f"{name!r} is not one of plan, price_book, commitment, {', '.join(PARTS)}")
    return Terms(**{field.name: getattr(base or Terms(), field.name) for field in fields(Terms)} | found)


def terms_shown(terms: Terms) -> dict[str, Any]:
    """What `terms_from` takes; whether they are active is the revision's state."""
    shown: dict[str, Any] = {
        "plan": terms.plan,
        "price_book": terms.price_book,
        "commitment": plain(terms.commitment),
    }
    for name in PARTS:
        shown[name] = [_part_shown(part) for part in getattr(terms, name)]
    return shown


def _part_shown(part: Any) -> dict[str, Any]:
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _parts(name: str, given: object) -> tuple[Any, ...]:
    if not isinstance(given, list):
        raise TermsMalformed(f"{name} is a list")
    return tuple(_part(PARTS[name], f"{name}[{position}]", each) for position, each in enumerate(given))


def _part(made: type[Any], where: str, given: object) -> Any:
    if not isinstance(given, Mapping):
        raise TermsMalformed(f"{where} is an object")
    known: dict[str, Field[Any]] = {field.name: field for field in fields(made)}
    for name in given:
        if name not in known:
            raise TermsMalformed(f"{where}.{name} is not one of {', '.join(known)}")
    values = {name: _value(f"{where}.{name}", name, value, made) for name, value in given.items()}
    for name, field in known.items():
        if name not in values and name in _DEFAULTS:
            values[name] = _DEFAULTS[name]
        if name not in values and field.default is MISSING:
            raise TermsMalformed(f"{where}.{name} is missing")
    return made(**values)


def _value(where: str, name: str, given: object, made: type[Any]) -> Any:
    if name in _ENUMS:
        if given not in list(_ENUMS[name]):
            raise TermsMalformed(f"{where}: {given!r} is not one of {', '.join(_ENUMS[name])}")
        return _ENUMS[name](str(given))
    if name == "least_requests":
        if not isinstance(given, int) or isinstance(given, bool):
            raise TermsMalformed(f"{where}: {given!r} is not a whole number")
        return given
    if name in _NUMBERS:
        return None if given is None and made is Discount and name in _OPTIONAL else _number(where, given)
    return _text(where, given)


def _text(where: str, given: object) -> str:
    if not isinstance(given, str) or "\x00" in given:
        raise TermsMalformed(f"{where}: {given!r} is not a text")
    return given


def _number(where: str, given: object) -> Decimal:
    """From text or a whole number: what JSON calls a number may have lost digits."""
    if isinstance(given, bool) or not isinstance(given, str | int | Decimal):
        raise TermsMalformed(f"{where}: {given!r} is not a decimal number in quotes")
    try:
        found = Decimal(given)
    except InvalidOperation:
        raise TermsMalformed(f"{where}: {given!r} is not a decimal number") from None
    if not found.is_finite():
        raise TermsMalformed(f"{where}: {given!r} is not a decimal number")
    return found
