"""`manage.py set_objective "Chat TTFT" --measure ttft --below 500 --target 99 [--window 30] [--model M] [--region R] ...`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.management.base import StackCommand
from metering.objectives.definitions import SELECTOR, ObjectiveRefused, set_objective
from metering.objectives.wording import in_words

MEASURES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2e": "e2e_ms", "availability": "error"}


class Command(StackCommand):
    help = "Make an objective of service, or change the one of that name: a share of requests that is to be fast enough, or not to fail."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="what pages call it, such as 'Chat: first token'")
        parser.add_argument("--measure", required=True, choices=list(MEASURES))
        parser.add_argument(
            "--below", metavar="MS", help="the most that a good request takes, in ms; not of availability"
        )
        parser.add_argument(
            "--target", required=True, metavar="PERCENT", help="of requests that are to be good, e.g. 99.5"
        )
        parser.add_argument("--window", type=int, default=30, metavar="DAYS", help="over how many days (default: 30)")
        for dimension in SELECTOR:
            parser.add_argument(f"--{dimension}", default="", help=f"of this {dimension} alone")

    def run(self, **options: Any) -> str:
        try:
            made = set_objective(
                options["name"],
                measure=MEASURES[options["measure"]],
                threshold_ms=options["below"],
                target=_share(options["target"]),
                window_days=options["window"],
                **{dimension: options[dimension] for dimension in SELECTOR},
            )
        except ObjectiveRefused as error:
            raise CommandError(str(error)) from error
        return f"{made.name}: {in_words(made)}"


def _share(percent: str) -> str:
    """'99.5' -> '0.995', digit by digit: no float comes between."""
    text = percent.strip().rstrip("%").strip()
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdigit() or not text.isascii():
        raise CommandError(f"--target {percent!r} is no percentage such as 99.5")
    return f"{whole.zfill(3)[:-2]}.{whole.zfill(3)[-2:]}{fraction}"
