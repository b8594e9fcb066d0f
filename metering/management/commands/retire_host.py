"""`manage.py retire_host NAME`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering import ledger
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Stop waiting for an ingest host that will not come back. What its spool still holds will not be billed."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="as `manage.py seal` names it")

    def run(self, **options: Any) -> str:
        if not ledger.retire_host(options["name"]):
            known = ", ".join(host.name for host in ledger.holding_hosts()) or "none"
            raise CommandError(f"no active host {options['name']!r}; active: {known}")
        return f"retired {options['name']}"
