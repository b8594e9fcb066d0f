"""`manage.py stripe_setup --tenant KEY`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import stripe_customers
from billing.models import Customer
from billing.stripe_values import StripeTrouble
from metering.public import StackCommand


class Command(StackCommand):
    help = "Print the address of a page of Stripe's where the customer stores a card for later payments. It is valid for a day."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", required=True, metavar="KEY")

    def run(self, **options: Any) -> str | None:
        try:
            return stripe_customers.setup_page(options["tenant"])
        except Customer.DoesNotExist as error:
            raise CommandError(f"there is no customer {options['tenant']!r}: create one in the back office") from error
        except StripeTrouble as trouble:
            raise CommandError(str(trouble)) from trouble
