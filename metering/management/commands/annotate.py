"""`manage.py annotate deploy "llama-70b 2.1" [--at T] [--until T] [--model M] [--region R] [--cluster C] [--link URL]`, and
`manage.py annotate --withdraw NUMBER`"""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.annotations import KINDS, AnnotationRefused, annotate, withdraw
from metering.management.base import StackCommand
from metering.management.moments import moment


class Command(StackCommand):
    help = "Put a deploy, maintenance or a note on the time axis of every page. Prints its number."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("kind", choices=KINDS, nargs="?")
        parser.add_argument("text", help="what happened, in one line", nargs="?")
        parser.add_argument("--withdraw", type=int, metavar="NUMBER", help="take one back that was wrong")
        parser.add_argument("--at", help="when, such as 2026-11-03T14:00Z (default: now)")
        parser.add_argument("--until", help="when it ended, if it lasted")
        parser.add_argument("--link", default="", help="where to read more")
        for name in ("model", "region", "cluster"):
            parser.add_argument(f"--{name}", default="", help=f"of this {name} alone")

    def run(self, **options: Any) -> str:
        if options["withdraw"] is not None:
            if options["kind"]:
                raise CommandError("either put something down or withdraw it")
            if not withdraw(options["withdraw"], by="manage.py"):
                raise CommandError(f"there is no annotation {options['withdraw']}, or it was withdrawn before")
            return str(options["withdraw"])
        if not options["text"]:
            raise CommandError(f"say what it was ({', '.join(KINDS)}) and what happened, in one line")
        named = {name: options[name] for name in ("link", "model", "region", "cluster")}
        try:
            made = annotate(
                options["kind"],
                options["text"],
                by="manage.py",
                at=_moment(options["at"]),
                until=_moment(options["until"]),
                **named,
            )
        except AnnotationRefused as error:
            raise CommandError(str(error)) from error
        return str(made.id)


def _moment(text: str | None) -> datetime | None:
    return moment(text) if text else None
