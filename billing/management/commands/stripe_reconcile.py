"""`manage.py stripe_reconcile [--days N]`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import stripe_differences, stripe_reconciliation
from billing.stripe_values import StripeTrouble
from metering.public import StackCommand


class Command(StackCommand):
    help = "Compare with Stripe and print what does not agree, one a line; non-zero exit if something does not."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, metavar="N", help="so many days back (default: a setting, 35)")

    def run(self, **options: Any) -> str | None:
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days: at least 1")
        try:
            kept = stripe_reconciliation.reconcile(days=options["days"])
        except StripeTrouble as trouble:
            raise CommandError(str(trouble)) from trouble
        rows = stripe_differences.open_differences()
        for row in rows:
            here, there = row.our_value or "nothing", row.stripe_value or "nothing"
            self.stdout.write(f"{row.kind} {row.ours} {row.field}: {here} here, {there} at Stripe")
        self.stderr.write(f"{kept.opened} new, {kept.still_open} known, {kept.closed} closed")
        if rows:
            raise CommandError(f"{len(rows)} differences")
        return None
