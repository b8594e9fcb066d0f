"""`manage.py create_user NAME --role R [--tenant T]`: somebody who may log in. Prints the generated password alone on stdout."""

import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from metering import users
from metering.management.base import StackCommand
from metering.models import Membership


class Command(StackCommand):
    help = "Create somebody who may log in, and print the generated password on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=Membership.Role.values)
        parser.add_argument("--tenant", help="the customer's tenant; operators and finance have none")
        parser.add_argument(
            "--password-stdin", action="store_true", help="take the password from standard input, print nothing"
        )

    def run(self, **options: Any) -> str | None:
        try:
            given = _password_from_stdin() if options["password_stdin"] else None
            password = users.create_user(options["name"], options["role"], options["tenant"], password=given)
        except (users.UserRefused, ValidationError) as error:
            raise CommandError("; ".join(getattr(error, "messages", [str(error)]))) from error
        return None if options["password_stdin"] else password


def _password_from_stdin() -> str:
    """One line. Raises ValidationError for a password that is too easy."""
    password = sys.stdin.readline().rstrip("\r\n")
    validate_password(password)
    return password
