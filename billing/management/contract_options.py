"""Options that the commands of contracts share."""

import json
import sys
from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.rating.terms import FlatFee, Terms
from billing.terms_json import terms_from


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-10-01") from None


def number(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ArgumentTypeError(f"{text!r} is not a decimal number")
    return found


def flat_fee(text: str) -> FlatFee:
    """`base:310:Base fee`"""
    code, _, rest = text.partition(":")
    amount, _, description = rest.partition(":")
    return FlatFee(code, description or code, number(amount))


def add_terms(parser: CommandParser) -> None:
    parser.add_argument("--plan", help="a name to show")
    parser.add_argument("--price-book", metavar="NAME", help="a book whose prices come before the list's")
    parser.add_argument("--commitment", type=number, metavar="AMOUNT", help="the least that a period's usage costs")
    parser.add_argument(
        "--fee",
        type=flat_fee,
        action="append",
        metavar="CODE:AMOUNT:TEXT",
        help="a flat fee for a period; may be repeated",
    )
    parser.add_argument(
        "--terms",
        metavar="FILE",
        help="all terms as JSON, - for standard input (docs/contracts.md); the options above come on top",
    )
    parser.add_argument("--note", default="", help="why, for the record")


def terms_of(options: dict[str, Any], base: Terms) -> Terms:
    """What the options make of `base`. Raises CommandError for a file that holds no terms."""
    found = _read(options["terms"], base) if options["terms"] else base
    named = {name: options[name] for name in ("plan", "price_book", "commitment") if options[name] is not None}
    if options["fee"]:
        named["flat_fees"] = tuple(options["fee"])
    return replace(found, **named)


def _read(name: str, base: Terms) -> Terms:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return terms_from(json.loads(text, parse_float=Decimal), base)
    except (OSError, ValueError) as error:
        raise CommandError(f"{name}: {error}") from error
