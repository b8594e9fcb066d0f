"""`manage.py fit_energy [--from T --to T] [--effective-from T] [--rewrite]`"""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering.management.base import StackCommand
from metering.management.moments import moment
from metering.models import EnergyCoefficients
from metering.telemetry.energy.refitting import refit
from metering.telemetry.energy.rewriting import RewriteRefused, rewrite

COLUMNS = (
    "model",
    "product",
    "prefill_j",
    "+-",
    "prefill_context_j",
    "+-",
    "decode_j",
    "+-",
    "decode_w",
    "+-",
    "r2",
    "windows",
    "",
)


class Command(StackCommand):
    help = "Fit what tokens cost, by model and kind of GPU, to its windows; one line for each, tab-separated. It is done hourly anyway."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--from", dest="start", type=moment, metavar="TIME", help="default: 7 days before --to")
        parser.add_argument(
            "--to", dest="end", type=moment, metavar="TIME", help="default: up to where energy is settled"
        )
        parser.add_argument(
            "--effective-from",
            type=moment,
            metavar="TIME",
            help="the first window to use them (default: --to, so later ones only)",
        )
        parser.add_argument(
            "--rewrite", action="store_true", help="compute the windows from --effective-from to --to anew with them"
        )

    def run(self, **options: Any) -> str:
        start, end, effective = options["start"], options["end"], options["effective_from"]
        if options["rewrite"] and not (effective and end):
            raise CommandError("--rewrite needs --effective-from and --to: the windows to compute anew")
        if start and end and start >= end:
            raise CommandError("--from is not before --to")
        made = refit(start=start, end=end, effective_from=effective)
        if options["rewrite"]:
            self._rewrite(effective, end)
        return "\n".join("\t".join(line) for line in (COLUMNS, *map(_line, made)))

    def _rewrite(self, start: datetime, end: datetime) -> None:
        try:
            for done in rewrite(start, end):
                self.stderr.write(f"computed {done.start:%Y-%m-%d %H:%M}Z to {done.end:%H:%M}Z")
        except RewriteRefused as error:
            raise CommandError(str(error)) from error


def _line(row: EnergyCoefficients) -> tuple[str, ...]:
    return (
        row.model + (" (simulated)" if row.simulated else ""),
        row.product,
        f"{row.prefill_j:.4g}",
        _number(row.prefill_error_j),
        f"{row.prefill_context_j:.4g}",
        _number(row.prefill_context_error_j),
        f"{row.decode_j:.4g}",
        _number(row.decode_error_j),
        f"{row.decode_w:.4g}",
        _number(row.decode_error_w),
        _number(row.r_squared),
        str(row.windows),
        "used" if row.accepted else f"not used: {row.reason}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
