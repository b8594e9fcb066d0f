"""`manage.py plan_capacity [--all]`"""

import os
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from metering.capacity.working import work
from metering.management.base import StackCommand

NICE = 10  # who serves and takes in comes first


class Command(StackCommand):
    help = (
        "Forecast demand and estimate capacity for the capacity page: what pages wait for, and what is older than a day. "
        "The worker does it anyway."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="work everything out anew")

    def run(self, **options: Any) -> str:
        os.nice(NICE)
        done = work(timezone.now, self.stderr.write, everything=options["all"])
        return f"worked out {done}"
