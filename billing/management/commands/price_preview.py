"""`manage.py price_preview --book B --version V --months 3`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import pricebook
from billing.api.renderers import table
from billing.price_preview import MOST_MONTHS, CustomerPreview, Preview, PreviewRefused, PreviewTotal, preview
from billing.rating import plain, rounded
from metering.public import StackCommand

COLUMNS = (
    "tenant",
    "currency",
    "bills",
    "before",
    "after",
    "change",
    "change_share",
    "worst_period",
    "worst_change",
    "unpriced",
)


class Command(StackCommand):
    help = (
        "Rate the bills of past months again under a version of a price book, and print what each customer would have paid, as CSV, "
        "the worst bill shock first; the last lines are the totals."
    )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """With a `--version` of our own in place of Django's, which prints Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--book", default=pricebook.LIST, help="default: the list")
        parser.add_argument(
            "--version", type=int, required=True, dest="number", metavar="V", help="a draft, or one that was published"
        )
        parser.add_argument("--months", type=int, default=3, metavar="N", help=f"1 to {MOST_MONTHS}, default: 3")
        parser.add_argument(
            "--as-dated",
            action="store_true",
            help="its prices from their dates on (default: as if they had held throughout)",
        )

    def run(self, **options: Any) -> str | None:
        try:
            found = preview(
                options["book"],
                options["number"],
                options["months"],
                as_dated=options["as_dated"],
                progress=lambda done, due: self.stderr.write(f"{done:,} of {due:,} billing periods"),
            )
        except (PreviewRefused, pricebook.UnknownVersion) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(table(COLUMNS, lines(found)), ending="")
        return None


def lines(found: Preview) -> list[dict[str, Any]]:
    return [*(_customer(one) for one in found.customers), *(_total(one, found) for one in found.totals)]


def _customer(one: CustomerPreview) -> dict[str, Any]:
    worst = one.shock
    return {
        "tenant": one.tenant,
        **_amounts(one),
        "bills": len(one.bills),
        "worst_period": str(worst.period),
        "worst_change": _money(worst.rise, one.currency),
        "unpriced": one.unpriced,
    }


def _total(one: PreviewTotal, found: Preview) -> dict[str, Any]:
    mine = [each for each in found.customers if each.currency == one.currency]
    return {
        "tenant": "(total)",
        **_amounts(one),
        "bills": sum(len(each.bills) for each in mine),
        "worst_period": "",
        "worst_change": "",
        "unpriced": sum(each.unpriced for each in mine),
    }


def _amounts(one: CustomerPreview | PreviewTotal) -> dict[str, Any]:
    return {
        "currency": one.currency,
        "before": _money(one.before, one.currency),
        "after": _money(one.after, one.currency),
        "change": _money(one.rise, one.currency),
        "change_share": "" if one.share is None else plain(one.share),
    }


def _money(amount: Any, currency: str) -> str:
    return format(rounded(amount, currency), "f")
