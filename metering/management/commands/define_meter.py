"""`manage.py define_meter gpu_hours --event-type gpu.used --aggregation SUM --value-path '$.gpu_hours' --group-by gpu_type='$.gpu.type'`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering import meters
from metering.management.base import StackCommand


class Command(StackCommand):
    help = "Define a meter, or with --archive end one. Prints the meter's slug."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("slug", help="a-z, 0-9 and _; it stands in URLs")
        parser.add_argument("--event-type", help="the CloudEvents type whose events it reads")
        parser.add_argument("--aggregation", help=f"one of {', '.join(meters.Aggregation.values)}")
        parser.add_argument("--value-path", default="", help="where in data the value lies, as in $.gpu_hours")
        parser.add_argument(
            "--group-by", action="append", default=[], metavar="NAME=PATH", help="as in gpu_type=$.gpu.type; repeatable"
        )
        parser.add_argument("--unit", default="", help="as in h or GiB; it is shown, nothing is converted")
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--archive", action="store_true", help="take no further events for it; it can still be read"
        )

    def run(self, **options: Any) -> str:
        slug: str = options["slug"]
        if options["archive"]:
            if not meters.archive(slug):
                raise CommandError(f"there is no active meter {slug!r} that could be archived")
            return slug
        if not (options["event_type"] and options["aggregation"]):
            raise CommandError("--event-type and --aggregation are required to define a meter")
        try:
            return meters.create(
                slug,
                event_type=options["event_type"],
                aggregation=options["aggregation"].upper(),
                value_path=options["value_path"],
                group_by=_groups(options["group_by"]),
                description=options["description"],
                unit=options["unit"],
            ).slug
        except ValueError as error:
            raise CommandError(str(error)) from error


def _groups(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name in found:
            raise CommandError(f"--group-by {text!r}: write NAME=PATH, each name once")
        found[name] = path
    return found
