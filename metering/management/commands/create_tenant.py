"""`manage.py create_tenant KEY [--name NAME] [--currency USD]`"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from metering import accounts
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Create a customer. Prints its key."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", help="letters, digits and . _ : - (at most 64); it stands in events and invoices")
        parser.add_argument("--name", default="", help="as it stands on invoices (default: the key)")
        parser.add_argument("--currency", default="USD", help="ISO 4217 code of its prices and invoices (default USD)")

    def run(self, **options: Any) -> str:
        try:
            return accounts.create_tenant(options["key"], options["name"], options["currency"]).key
        except accounts.TenantExists as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(
                "; ".join(f"{name}: {' '.join(why)}" for name, why in error.message_dict.items())
            ) from error
