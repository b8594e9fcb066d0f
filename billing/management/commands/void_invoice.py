"""`manage.py void_invoice NUMBER --reason ...`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import voiding
from billing.settling import UnknownInvoice
from billing.voiding import VoidRefused
from metering.public import SealHeld, StackCommand


class Command(StackCommand):
    help = "Make an invoice void: nothing is due on it any more. With --reissue its period is billed anew; that number is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("number", help="e.g. TW-2026-000001")
        parser.add_argument("--reason", help="why; needed unless it is void already")
        parser.add_argument("--reissue", action="store_true", help="bill its period anew")
        parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for the ledger (default 60)")

    def run(self, **options: Any) -> str | None:
        number = options["number"]
        try:
            if options["reason"]:
                voiding.void(number, reason=options["reason"])
            elif not options["reissue"]:
                raise CommandError("say why: --reason")
            return voiding.reissue(number, wait_s=options["wait"]).number if options["reissue"] else None
        except (UnknownInvoice, VoidRefused, SealHeld) as error:
            raise CommandError(str(error)) from error
