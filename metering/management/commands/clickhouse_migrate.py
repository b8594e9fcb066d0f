"""`manage.py clickhouse_migrate [--check]`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.clickhouse import migrate
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Create the ClickHouse database and apply its numbered .sql migrations. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--check", action="store_true", help="apply nothing; exit non-zero if something is pending")

    def run(self, **options: Any) -> str:
        try:
            if options["check"]:
                return self._check()
            applied = migrate.migrate()
        except migrate.MigrationError as error:
            raise CommandError(str(error)) from error
        return "\n".join(f"applied {name}" for name in applied) or "nothing to apply"

    def _check(self) -> str:
        pending = migrate.pending()
        if pending:
            raise CommandError("pending: " + ", ".join(migration.name for migration in pending))
        return "up to date"
