"""`manage.py revoke_api_key PREFIX`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering import keys
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Revoke an API key at once. Takes the key, or the part between its underscores."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("prefix")

    def run(self, **options: Any) -> str:
        if not keys.revoke_key(options["prefix"]):
            raise CommandError("there is no such key, or it was revoked before")
        return "revoked"
