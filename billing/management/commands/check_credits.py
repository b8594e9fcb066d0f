"""`manage.py check_credits`: do the books of credit balance?"""

from typing import Any

from django.core.management.base import CommandError

from billing.credits import check_balanced
from metering.public import StackCommand


class Command(StackCommand):
    help = "Compute every balance of credit anew and list what does not add up; a non-zero exit if anything does not."

    def run(self, **options: Any) -> str | None:
        found = check_balanced()
        for one in found:
            self.stderr.write(f"{one.about}: {one.problem}")
        if found:
            raise CommandError(f"{len(found)} differences in the books of credit")
        return "balanced"
