"""`manage.py set_tax_rate --country DE --percent 19 --effective-from 2026-01-01`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.management.contract_options import day, number
from billing.tax_rates import TaxRateRefused, set_tax_rate
from metering.public import StackCommand


class Command(StackCommand):
    help = "Set the standard tax rate of a country from a day on, over the table that is shipped."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--country", required=True, help="ISO 3166-1 code, e.g. DE")
        parser.add_argument("--percent", required=True, type=number, metavar="RATE", help="e.g. 19 or 8.1")
        parser.add_argument("--effective-from", required=True, type=day, metavar="DATE")
        parser.add_argument("--name", default="VAT", help="as printed (default: VAT)")

    def run(self, **options: Any) -> str | None:
        try:
            row = set_tax_rate(
                country=options["country"],
                rate=options["percent"].scaleb(-2),
                effective_from=options["effective_from"],
                name=options["name"],
                actor="command",
            )
        except TaxRateRefused as error:
            raise CommandError(str(error)) from error
        return str(row)
