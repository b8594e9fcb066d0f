"""`manage.py set_gpu_price --product 'NVIDIA H100 80GB HBM3' --per-gpu-hour 2.10 --currency USD [--region us-east]`"""

from typing import Any

from django.core.management.base import CommandParser

from metering.management.tariffs import TariffCommand
from metering.telemetry.energy.prices import TariffSet, set_gpu_price


class Command(TariffCommand):
    help = "Say what an hour of a GPU costs: its depreciation, its rent, whatever margins are to carry."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--product", required=True, help="as GPUs report it, or '*' for any without a cost of its own"
        )
        parser.add_argument("--per-gpu-hour", required=True, metavar="X", help="e.g. 2.10")
        parser.add_argument("--currency", required=True, help="ISO 4217 code, e.g. USD")
        parser.add_argument("--region", default="*", help="as nodes report it (default: '*', any)")

    def set(self, **options: Any) -> TariffSet:
        return set_gpu_price(
            product=options["product"],
            region=options["region"],
            per_gpu_hour=options["per_gpu_hour"],
            currency=options["currency"].upper(),
            effective_from=options["effective_from"],
        )
