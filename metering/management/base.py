"""The base of every command: `--data-dir`, and a clear refusal where no stack runs.

`manage.py` reads `--data-dir` before Django starts (it decides which databases the settings name); it is declared here so that
the parser knows it and `--help` shows it.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable


class StackCommand(BaseCommand):
    """Results on stdout, diagnostics on stderr, a non-zero exit on failure. Subclasses implement `run`."""

    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration of it
    needs_stack = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data-dir", help="where the embedded stack keeps its data (default: TALLYWATT_DATA_DIR, else var)"
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        if self.needs_stack and not (settings.STACK.database_url and settings.STACK.clickhouse_url):
            raise CommandError(
                f"no stack is running on {settings.DATA_DIR}: start it with `manage.py up`, "
                "or set DATABASE_URL, REDIS_URL and CLICKHOUSE_URL"
            )
        try:
            return self.run(**options)
        except (ClickHouseUnavailable, ClickHouseRefused) as error:
            raise CommandError(str(error)) from error

    def run(self, **options: Any) -> str | None:
        """The command itself. What it returns is printed on stdout."""
        raise NotImplementedError
