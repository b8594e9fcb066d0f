"""`manage.py credit_note NUMBER --line 1=2.50 --reason ... --as reduce`"""

from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.credit_notes import CreditNoteRefused, issue
from billing.models import CreditNote
from billing.settling import UnknownInvoice
from metering.public import StackCommand


class Command(StackCommand):
    help = "Take back a part of an invoice by a credit note, and print its number."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("number", help="of the invoice, e.g. TW-2026-000001")
        parser.add_argument(
            "--line",
            type=_line,
            action="append",
            required=True,
            metavar="POSITION=AMOUNT",
            help="before tax; may be repeated",
        )
        parser.add_argument("--reason", required=True, help="printed on it")
        parser.add_argument("--as", dest="disposition", required=True, choices=CreditNote.Disposition.values)
        parser.add_argument("--key", required=True, help="any word; the same one again gives the same note")

    def run(self, **options: Any) -> str | None:
        try:
            note = issue(
                options["number"],
                dict(options["line"]),
                reason=options["reason"],
                disposition=options["disposition"],
                idempotency_key=options["key"],
            )
        except (UnknownInvoice, CreditNoteRefused) as error:
            raise CommandError(str(error)) from error
        return note.number


def _line(text: str) -> tuple[int, Decimal]:
    position, _, amount = text.partition("=")
    try:
        return int(position), Decimal(amount)
    except (ValueError, InvalidOperation):
        raise ArgumentTypeError(f"{text!r} is not a line and an amount, such as 1=2.50") from None
