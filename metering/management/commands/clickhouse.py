"""`manage.py clickhouse --query SQL`"""

from typing import Any

from django.core.management.base import CommandParser

from metering.clickhouse import client
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Run one statement on ClickHouse, through the application's own connection; rows as tab-separated text."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--query", required=True, help="the statement")
        parser.add_argument("--timeout", type=float, default=300, help="seconds (default 300)")

    def run(self, **options: Any) -> str | None:
        rows = client.statement("command_line", options["query"], timeout_s=options["timeout"])
        return "\n".join("\t".join(_shown(value) for value in row) for row in rows) or None


def _shown(value: object) -> str:
    """ClickHouse's own TSV conventions for NULL and for characters that would break a row."""
    if value is None:
        return r"\N"
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")
