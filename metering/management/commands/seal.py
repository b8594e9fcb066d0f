"""`manage.py seal [--now]`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering import ledger, sealing
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Move settled usage into the append-only ledger, each event once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--now", action="store_true", help="cover the current 15-minute bucket too")

    def run(self, **options: Any) -> str | None:
        try:
            outcome = sealing.seal_usage(now=options["now"])
        except ledger.SealBusy as busy:
            raise CommandError(str(busy)) from busy
        for host in outcome.held_by:
            if host.silent:
                self.stderr.write(f"{host.name} has been silent since {host.published_at:%FT%TZ} and holds the seal")
        if outcome.seal is None:
            return "nothing to seal"
        state = "sealed" if outcome.advanced else "already sealed"
        return (
            f"{state} up to {outcome.seal.watermark.isoformat()} (seal {outcome.seal.id}): "
            f"{outcome.events} events, {outcome.duplicates} duplicates, {outcome.conflicts} conflicts, {outcome.late} late"
        )
