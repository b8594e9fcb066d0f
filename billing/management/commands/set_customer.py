"""`manage.py set_customer --tenant KEY --legal-name "Acme Corp" --country DE --email billing@acme.example`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.customers import CUSTOMER_COLUMNS, CustomerRefused, save_customer
from billing.management.party_options import add_columns, given
from billing.models import Customer
from metering.public import StackCommand

_COLUMNS = tuple(name for name in CUSTOMER_COLUMNS if name not in {"tenant", "emails"})


class Command(StackCommand):
    help = "Say who a tenant is, where invoices go, and how they are paid. What is not named stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument(
            "--email", action="append", dest="emails", help="where invoices and reminders go; may be repeated"
        )
        add_columns(parser, Customer, _COLUMNS)

    def run(self, **options: Any) -> str | None:
        try:
            row = save_customer(options["tenant"], actor="command", **given(options, (*_COLUMNS, "emails")))
        except CustomerRefused as error:
            raise CommandError(str(error)) from error
        return str(row)
