"""`manage.py run_invoices`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from billing import runs
from billing.models import Invoice, InvoiceRun
from metering.public import SealHeld, StackCommand, tenant


class Command(StackCommand):
    help = "Bill every period that is due, the customers' grace included, and print the numbers; or resume a run that stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", metavar="KEY", action="append", help="only this tenant; may be repeated")
        parser.add_argument(
            "--resume", type=int, metavar="RUN", help="go on with this run, from what it fixed when it began"
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=60,
            metavar="SECONDS",
            help="how long to wait for what was accepted to reach the ledger (default 60)",
        )

    def run(self, **options: Any) -> str | None:
        made = _resumed(options["resume"]) if options["resume"] is not None else _started(options)
        for number in Invoice.objects.filter(run=made).order_by("pk").values_list("number", flat=True):
            self.stdout.write(number)
        for problem in made.problems:
            self.stderr.write(problem["problem"])
        self.stderr.write(f"{made}: {made.invoices} invoices, {len(made.problems)} problems")
        if made.problems:
            raise CommandError(f"not billed: {', '.join(sorted({problem['tenant'] for problem in made.problems}))}")
        return None


def _started(options: dict[str, Any]) -> InvoiceRun:
    for key in options["tenant"] or ():
        if tenant(key) is None:
            raise CommandError(f"there is no tenant {key!r}")
    try:
        return runs.start_run(timezone.now(), options["tenant"], wait_s=options["wait"])
    except (SealHeld, runs.NothingSealed) as error:
        raise CommandError(str(error)) from error


def _resumed(run_id: int) -> InvoiceRun:
    found = InvoiceRun.objects.filter(pk=run_id).first()
    if found is None:
        raise CommandError(f"there is no run {run_id}")
    return runs.resume(found)
