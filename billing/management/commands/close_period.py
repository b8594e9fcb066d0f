"""`manage.py close_period --tenant KEY|--all --period 2026-10`"""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.public import PeriodOpen, close_period, month
from metering.contracts import TenantInfo
from metering.public import SealHeld, StackCommand, tenant, tenants


class Command(StackCommand):
    help = "Bill a month that has ended: finalise an invoice for each tenant that used anything, and print the numbers."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", metavar="KEY", help="this tenant")
        whose.add_argument("--all", action="store_true", help="every tenant")
        parser.add_argument("--period", required=True, metavar="MONTH", help="a month in UTC, e.g. 2026-10")
        parser.add_argument(
            "--wait",
            type=float,
            default=60,
            metavar="SECONDS",
            help="how long to wait for what was accepted to reach the ledger (default 60)",
        )

    def run(self, **options: Any) -> str | None:
        try:
            results = close_period(month(options["period"]), _chosen(options["tenant"]), wait_s=options["wait"])
        except (PeriodOpen, SealHeld, ValueError) as error:
            raise CommandError(str(error)) from error
        for closed in results:
            if closed.number is not None:
                self.stdout.write(closed.number)
            for text in (*closed.notes, *closed.problems):
                self.stderr.write(text)
        if failed := [closed.tenant for closed in results if closed.problems]:
            raise CommandError(f"not closed: {', '.join(failed)}")
        return None


def _chosen(key: str | None) -> Sequence[TenantInfo]:
    if key is None:
        return tenants()
    found = tenant(key)
    if found is None:
        raise CommandError(f"there is no tenant {key!r}")
    return [found]
