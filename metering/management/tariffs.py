"""What the commands that set prices of energy and GPU time have in common."""

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.management.base import StackCommand
from metering.management.moments import moment
from metering.moments import EPOCH
from metering.telemetry.energy.prices import TariffRefused, TariffSet


class TariffCommand(StackCommand):
    """Subclasses add their arguments and implement `set`; the moment from which it holds is printed."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--effective-from",
            type=moment,
            metavar="DATE",
            help="date (midnight UTC) or RFC 3339 time on a whole hour; default: for the first of its kind the beginning of time, for a "
            "later one the next hour",
        )

    def set(self, **options: Any) -> TariffSet:
        raise NotImplementedError

    def run(self, **options: Any) -> str:
        made = _refusing(self.set, **options)
        since = "the beginning of time" if made.effective_from == EPOCH else f"{made.effective_from:%Y-%m-%d %H:%M}Z"
        if not made.added:
            self.stderr.write("unchanged")
        return f"effective from {since}"


def _refusing(make: Callable[..., TariffSet], **options: Any) -> TariffSet:
    try:
        return make(**options)
    except TariffRefused as error:
        raise CommandError(str(error)) from error
