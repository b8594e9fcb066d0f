"""`manage.py grant_credit --tenant acme --amount 500 --kind promotional --name "Launch credit" --expires-at 2027-01-01`"""

from argparse import ArgumentTypeError
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import pricebook
from billing.credits import CreditRefused, grant
from billing.models import CreditGrant
from metering.public import StackCommand


class Command(StackCommand):
    help = "Give a tenant credit: promotional, or paid for outside of Tallywatt. Prints the grant's id."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument("--amount", required=True, type=_amount, help="in the tenant's currency")
        parser.add_argument("--kind", required=True, choices=("promotional", "paid"))
        parser.add_argument("--name", required=True, help="stands on invoices")
        parser.add_argument("--priority", type=int, default=50, help="the lowest burns first (default 50)")
        parser.add_argument(
            "--effective-from",
            type=_moment,
            metavar="TIME",
            help="the first usage that it covers; default: promotional from now, paid any that is not invoiced",
        )
        parser.add_argument("--expires-at", type=_moment, metavar="TIME", help="exclusive; of usage; default: never")
        parser.add_argument(
            "--model", action="append", default=[], help="promotional credit for this model; repeatable"
        )
        parser.add_argument(
            "--source", default="", help="names it once: the same source again gives the same grant, made once"
        )

    def run(self, **options: Any) -> str | None:
        try:
            made = grant(
                tenant=options["tenant"],
                amount=options["amount"],
                kind=CreditGrant.Kind(options["kind"]),
                name=options["name"],
                priority=options["priority"],
                effective_from=options["effective_from"],
                expires_at=options["expires_at"],
                models_covered=options["model"],
                source=options["source"],
                actor="command",
            )
        except CreditRefused as error:
            raise CommandError(str(error)) from error
        return str(made.pk)


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not an amount") from None


def _moment(text: str) -> datetime:
    try:
        return pricebook.moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
