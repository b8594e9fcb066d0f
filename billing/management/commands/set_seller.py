"""`manage.py set_seller --name "Our GmbH" --country DE --tax-id DE123456789 --iban ...`"""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.customers import SELLER_COLUMNS, CustomerRefused, save_seller
from billing.management.party_options import add_columns, given
from billing.models import Seller
from metering.public import StackCommand

_COLUMNS = tuple(name for name in SELLER_COLUMNS if name != "logo")


class Command(StackCommand):
    help = "Say who issues the invoices. What is not named stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_columns(parser, Seller, _COLUMNS)
        parser.add_argument("--logo", metavar="FILE", help="an SVG for the head of the invoice")

    def run(self, **options: Any) -> str | None:
        values = given(options, _COLUMNS)
        try:
            if options["logo"] is not None:
                values["logo"] = Path(options["logo"]).read_text(encoding="utf-8") if options["logo"] else ""
            row = save_seller(actor="command", **values)
        except (CustomerRefused, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        return str(row)
