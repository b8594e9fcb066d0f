"""`manage.py publish_prices --book B --file prices.csv`, or `--version V` for a draft that is there."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import pricebook
from billing.public import PriceRefused
from metering.public import StackCommand

BY = "command"


class Command(StackCommand):
    help = (
        "Publish a version of a price book: a draft by its number, or what a CSV or JSON file says otherwise than the book. "
        "The version is printed. docs/prices.md has the columns."
    )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """With a `--version` of our own in place of Django's, which prints Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--book", required=True, help="`list` for everybody's; another is made if it is not there")
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--file", type=Path, metavar="FILE", help="CSV with a header, or a JSON list of objects")
        source.add_argument("--version", type=int, dest="number", metavar="V", help="publish this draft")
        source.add_argument(
            "--export", action="store_true", help="print the prices in force as CSV, and change nothing"
        )
        parser.add_argument(
            "--draft", action="store_true", help="keep the file's version as a draft, to preview it first"
        )
        parser.add_argument(
            "--complete",
            action="store_true",
            help="the file is the whole book: withdraw every price that it does not name",
        )
        parser.add_argument("--note", default="", help="why, for the history")

    def run(self, **options: Any) -> str | None:
        book = options["book"]
        try:
            if options["export"]:
                self.stdout.write(pricebook.as_csv([one.row for one in pricebook.in_force(book)]), ending="")
                return None
            number = options["number"] or self._draft(book, options)
            if options["draft"]:
                self.stderr.write(
                    f"a draft; manage.py price_preview --book {book} --version {number} says what it would change"
                )
            else:
                pricebook.publish(book, number, BY)
                self._warn(book, number)
        except (PriceRefused, pricebook.UnknownVersion) as error:
            raise CommandError(str(error)) from error
        return str(number)

    def _draft(self, book: str, options: dict[str, Any]) -> int:
        try:
            text = options["file"].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from error
        rows = pricebook.read_file(text)
        return pricebook.new_version(book, rows, options["note"], BY, complete=options["complete"]).number

    def _warn(self, book: str, number: int) -> None:
        for remark in pricebook.remarks(book, number):
            self.stderr.write(f"note: {remark}")
