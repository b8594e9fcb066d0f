"""`manage.py margin --month 2026-11`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.api import margin_shapes
from billing.api.renderers import table
from billing.public import margin_report, margin_settled_hour, month
from metering.public import StackCommand, tenant

GROUPS = ("tenant", "model")


class Command(StackCommand):
    help = "Print revenue, energy cost, GPU cost and margin of a month, by tenant and model, as CSV; the last line is the total."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--month", required=True, metavar="MONTH", help="a month in UTC, e.g. 2026-11")
        parser.add_argument("--tenant", metavar="KEY", help="only this tenant, without what is nobody's")

    def run(self, **options: Any) -> str | None:
        try:
            span = month(options["month"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        settled = margin_settled_hour()
        if settled is None or settled <= span.start:
            raise CommandError(f"no hour of {options['month']} is settled yet")
        if options["tenant"] is not None and tenant(options["tenant"]) is None:
            raise CommandError(f"there is no tenant {options['tenant']!r}")
        end = min(span.end, settled)
        found = margin_report(span.start, end, window="total", tenant=options["tenant"])
        lines = [line for row in (*found.rows, found.total) for line in margin_shapes.csv_lines(row, GROUPS)]
        self.stdout.write(table(margin_shapes.columns(GROUPS), lines), ending="")
        if end < span.end:
            self.stderr.write(f"up to {end:%Y-%m-%d %H:%M}Z: energy after that is not settled yet")
        if found.total.simulated:
            self.stderr.write("some of the energy was made up by the simulator")
        return None
