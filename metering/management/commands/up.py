"""`manage.py up [--demo] [--port 8000] [--data-dir var]`"""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from metering.embedded.processes import EmbeddedError
from metering.embedded.supervisor import Supervisor
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Start the whole stack and keep it running: databases, web, worker and beat. Ctrl-C stops everything."
    needs_stack = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--demo", action="store_true", help="with a made-up provider, its history and live traffic")
        parser.add_argument("--port", type=int, default=8000, help="of the web application on 127.0.0.1 (default 8000)")

    def run(self, **options: Any) -> None:
        try:
            settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
            supervisor = Supervisor(
                settings.DATA_DIR, settings.SPOOL_DIR, options["port"], demo=options["demo"], say=self._say
            )
            supervisor.run()
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        except PermissionError as error:
            raise CommandError(f"{settings.DATA_DIR} cannot be used: {error}") from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        sys.stdout.flush()
