"""`manage.py set_price --model M --kind K --per-million X --currency C`"""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.public import PriceRefused, set_price
from billing.rating import ALIASES, BEGINNING, Kind
from metering.public import StackCommand


class Command(StackCommand):
    help = "Add a price to the price book, as a new version of it; the version is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model", required=True, help="a model's name, or '*' for any that has no price of its own"
        )
        parser.add_argument("--kind", required=True, help=f"{', '.join(Kind)} (also: {', '.join(ALIASES)})")
        parser.add_argument("--per-million", required=True, metavar="X", help="price of a million tokens, e.g. 0.60")
        parser.add_argument("--currency", required=True, help="ISO 4217 code, e.g. USD")
        parser.add_argument("--tier", default="", help="standard, batch, priority, flex... (default: any tier)")
        parser.add_argument(
            "--effective-from",
            type=_moment,
            metavar="DATE",
            help="date (midnight UTC) or RFC 3339 time on a quarter of an hour; default: for the first price of a model, kind, "
            "tier and currency the beginning of time, for a later one the next quarter of an hour",
        )

    def run(self, **options: Any) -> str | None:
        try:
            made = set_price(
                model=options["model"],
                kind=options["kind"],
                per_million=options["per_million"],
                currency=options["currency"].upper(),
                tier=options["tier"],
                effective_from=options["effective_from"],
            )
        except PriceRefused as error:
            raise CommandError(str(error)) from error
        since = (
            "the beginning of time" if made.effective_from == BEGINNING else f"{made.effective_from:%Y-%m-%d %H:%M}Z"
        )
        self.stderr.write(f"effective from {since}" if made.added else f"unchanged: in force from {since}")
        return str(made.version)


def _moment(text: str) -> datetime:
    """A date is its midnight in UTC; a time needs its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a date such as 2026-10-01 nor an RFC 3339 time") from None
    if moment.tzinfo is None and len(text) > len("2026-10-01"):
        raise ArgumentTypeError(f"{text!r} has no offset: write e.g. 2026-10-01T06:00Z")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
