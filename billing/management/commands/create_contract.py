"""`manage.py create_contract --tenant KEY --starts-on 2026-10-01`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.agreements import ContractRefused, create_contract
from billing.management.contract_options import add_terms, day, terms_of
from billing.rating.terms import Terms
from metering.public import StackCommand


class Command(StackCommand):
    help = "Agree on a contract with a tenant; its number is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument("--starts-on", required=True, type=day, metavar="DATE", help="its first day, local")
        parser.add_argument("--time-zone", default="UTC", metavar="ZONE", help="e.g. Europe/Berlin (default: UTC)")
        parser.add_argument(
            "--anchor-day",
            type=int,
            metavar="DAY",
            help="day of the month on which periods begin (default: that of --starts-on)",
        )
        parser.add_argument("--number", help="its number (default: the next one)")
        add_terms(parser)

    def run(self, **options: Any) -> str | None:
        try:
            made = create_contract(
                tenant=options["tenant"],
                starts_on=options["starts_on"],
                time_zone=options["time_zone"],
                anchor_day=options["anchor_day"],
                number=options["number"],
                terms=terms_of(options, Terms()),
                note=options["note"],
                actor="command",
            )
        except ContractRefused as error:
            raise CommandError(str(error)) from error
        return made.number
