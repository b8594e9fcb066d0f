"""`manage.py set_rate_limit --tenant KEY|--key PREFIX --events-per-s N|--default`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.management.base import StackCommand
from metering.models import ApiKey, Tenant


class Command(StackCommand):
    help = "Limit the events per second of one API key, or of all keys of a tenant. It holds from the next request on."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", help="all keys of this tenant together")
        whose.add_argument("--key", help="the prefix of an API key: the 12 characters after tw_")
        rate = parser.add_mutually_exclusive_group(required=True)
        rate.add_argument("--events-per-s", type=int, help="0: not limited, whatever the default is")
        rate.add_argument("--default", action="store_true", help="back to the setting's default")

    def run(self, **options: Any) -> str:
        rate = None if options["default"] else options["events_per_s"]
        if rate is not None and not 0 <= rate < 2**31:
            raise CommandError("--events-per-s takes a whole number from 0 on")
        if options["tenant"] is not None:
            name, kind = options["tenant"], "tenant"
            found = Tenant.objects.filter(key=name).update(ingest_events_per_s=rate)
        else:
            name, kind = options["key"].removeprefix("tw_")[:12], "API key"
            found = ApiKey.objects.filter(prefix=name).update(ingest_events_per_s=rate)
        if not found:
            raise CommandError(f"there is no {kind} {name!r}")
        return f"{name}: " + ("the default" if rate is None else f"{rate} events/s" if rate else "not limited")
