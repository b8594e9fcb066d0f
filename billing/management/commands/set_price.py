"""`manage.py set_price --model M --kind K --per-million X --currency C`"""

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import pricebook
from billing.public import PriceRefused, set_price
from billing.rating import ALIASES, BEGINNING, Kind
from metering.contracts import CONTEXT_EDGES
from metering.public import StackCommand


class Command(StackCommand):
    help = "Add a price to the price book, as a new version of it; the version is printed. Prices with tiers: publish_prices."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model", required=True, help="a model's name, or '*' for any that has no price of its own"
        )
        parser.add_argument("--kind", required=True, help=f"{', '.join(Kind)} (also: {', '.join(ALIASES)})")
        parser.add_argument("--per-million", required=True, metavar="X", help="price of a million tokens, e.g. 0.60")
        parser.add_argument("--currency", required=True, help="ISO 4217 code, e.g. USD")
        parser.add_argument("--tier", default="", help="standard, batch, priority, flex... (default: any tier)")
        parser.add_argument("--operation", default="", help="chat, embedding, image... (default: any)")
        parser.add_argument("--region", default="", help="where it ran (default: anywhere)")
        parser.add_argument(
            "--context-over",
            type=int,
            default=0,
            metavar="TOKENS",
            help=f"for requests with more input tokens than this: {', '.join(map(str, CONTEXT_EDGES))}",
        )
        parser.add_argument(
            "--book", default=pricebook.LIST, help="a contract's price book (default: the list, which is everybody's)"
        )
        parser.add_argument(
            "--effective-from",
            type=moment,
            metavar="DATE",
            help="date (midnight UTC) or RFC 3339 time on a quarter of an hour; default: for the first price of a model, kind, "
            "tier and currency the beginning of time, for a later one the next quarter of an hour",
        )

    def run(self, **options: Any) -> str | None:
        names = (
            "model",
            "kind",
            "per_million",
            "tier",
            "operation",
            "region",
            "context_over",
            "book",
            "effective_from",
        )
        try:
            made = set_price(currency=options["currency"].upper(), **{name: options[name] for name in names})
        except PriceRefused as error:
            raise CommandError(str(error)) from error
        since = (
            "the beginning of time" if made.effective_from == BEGINNING else f"{made.effective_from:%Y-%m-%d %H:%M}Z"
        )
        self.stderr.write(f"effective from {since}" if made.added else f"unchanged: in force from {since}")
        return str(made.version)


def moment(text: str) -> datetime:
    try:
        return pricebook.moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
