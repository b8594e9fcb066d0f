"""`manage.py set_carbon_intensity --region eu-west --g-per-kwh 230`"""

from typing import Any

from django.core.management.base import CommandParser

from metering.management.tariffs import TariffCommand
from metering.telemetry.energy.prices import TariffSet, set_carbon_intensity


class Command(TariffCommand):
    help = "Say how many grams of CO2 a kWh of a region stands for."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--region", required=True, help="as nodes report it, or '*' for any without an intensity of its own"
        )
        parser.add_argument("--g-per-kwh", required=True, metavar="X", help="e.g. 230")

    def set(self, **options: Any) -> TariffSet:
        return set_carbon_intensity(
            region=options["region"], g_per_kwh=options["g_per_kwh"], effective_from=options["effective_from"]
        )
