"""`manage.py set_energy_price --region eu-west --per-kwh 0.21 --currency EUR [--hours 22-6]`"""

import re
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from metering.management.tariffs import TariffCommand
from metering.telemetry.energy.prices import TariffSet, set_energy_price

HOURS = re.compile(r"\A(\d{1,2})-(\d{1,2})\Z")


class Command(TariffCommand):
    help = "Add a price of electricity to those of a region."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--region", required=True, help="as nodes report it, or '*' for any without a price of its own"
        )
        parser.add_argument("--per-kwh", required=True, metavar="X", help="e.g. 0.21")
        parser.add_argument("--currency", required=True, help="ISO 4217 code, e.g. EUR")
        parser.add_argument(
            "--hours",
            type=_hours,
            default=(0, 24),
            metavar="FROM-TO",
            help="of the day, UTC; 22-6 is the night (default: 0-24)",
        )

    def set(self, **options: Any) -> TariffSet:
        from_hour, to_hour = options["hours"]
        return set_energy_price(
            region=options["region"],
            per_kwh=options["per_kwh"],
            currency=options["currency"].upper(),
            from_hour=from_hour,
            to_hour=to_hour,
            effective_from=options["effective_from"],
        )


def _hours(text: str) -> tuple[int, int]:
    found = HOURS.match(text)
    if not found or int(found[1]) > 23 or int(found[2]) > 24:
        raise ArgumentTypeError(f"{text!r} are not hours of the day such as 8-20")
    return int(found[1]), int(found[2])
