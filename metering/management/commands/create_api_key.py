"""`manage.py create_api_key --tenant KEY|--operator --scopes ingest,usage:read`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering import keys
from metering.contracts import Scope
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Issue an API key. Prints the key alone; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", help="the one tenant it writes and reads for")
        whose.add_argument("--operator", action="store_true", help="it may name any tenant")
        parser.add_argument("--scopes", required=True, help=f"comma-separated: {', '.join(Scope)}")
        parser.add_argument("--observing", action="store_true", help="what it sends is charted, never billed")
        parser.add_argument("--label", default="", help="a note for whoever finds the key later")

    def run(self, **options: Any) -> str:
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            return keys.issue_key(options["tenant"], scopes, observing=options["observing"], label=options["label"])
        except ValueError as error:
            raise CommandError(str(error)) from error
