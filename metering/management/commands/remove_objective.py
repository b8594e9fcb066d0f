"""`manage.py remove_objective NAME`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.management.base import StackCommand
from metering.objectives.definitions import remove_objective


class Command(StackCommand):
    help = "Remove an objective of service."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")

    def run(self, **options: Any) -> str:
        if not remove_objective(options["name"]):
            raise CommandError(f"there is no objective {options['name']!r}; `list_objectives` shows what there is")
        return f"{options['name']} is removed"
