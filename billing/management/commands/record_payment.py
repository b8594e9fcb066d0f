"""`manage.py record_payment NUMBER --amount X --reference R`"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.invoices import payable
from billing.models import InvoiceState
from billing.settling import SettlingRefused, UnknownInvoice, outstanding, record_payment
from metering.public import StackCommand


class Command(StackCommand):
    help = "Record money that arrived for an invoice, once per reference, and print what is left to pay."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("number", help="e.g. TW-2026-000001")
        parser.add_argument("--amount", required=True, help="in the invoice's currency, e.g. 119.00")
        parser.add_argument("--reference", required=True, help="the bank's; the same one again changes nothing")
        parser.add_argument(
            "--date", type=datetime.fromisoformat, help="when it arrived, e.g. 2026-11-20; default: now"
        )

    def run(self, **options: Any) -> str | None:
        day: datetime | None = options["date"]
        received = day.replace(tzinfo=day.tzinfo or UTC) if day else None
        try:
            amount = Decimal(options["amount"])
            record_payment(options["number"], amount, options["reference"], received_at=received)
        except InvalidOperation:
            raise CommandError(f"{options['amount']!r} is not an amount") from None
        except (UnknownInvoice, SettlingRefused) as error:
            raise CommandError(str(error)) from error
        state = InvoiceState.objects.select_related("invoice").get(invoice__number=options["number"])
        left = payable(max(outstanding(state), Decimal(0)), state.invoice.currency)
        return f"{state.status}: {left} {state.invoice.currency} left to pay"
