"""`manage.py replay FILE --format F --tenant T --model M`: send a public trace through the HTTP endpoint, as a client would."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from metering import accounts, keys
from metering.contracts import Scope
from metering.management.base import StackCommand
from metering.replay.formats import FORMATS
from metering.replay.progress import ReplayState
from metering.replay.run import Plan, Totals, replay
from metering.replay.sender import Sender, SendFailed
from metering.replay.trace import TraceError

INTERRUPTED = 130  # what a shell reports for Ctrl-C


class Command(StackCommand):
    help = "Send a public trace of LLM requests through the HTTP endpoint. Sending the same file again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="the trace; plain or .gz")
        parser.add_argument("--format", required=True, choices=sorted(FORMATS))
        parser.add_argument(
            "--tenant", required=True, help="the customer; for servegen the prefix of its clients' (T-0, T-1, ...)"
        )
        parser.add_argument("--model", required=True, help="no trace names the model that served it")
        parser.add_argument(
            "--speed", type=_speed, default=None, metavar="N|max", help="1 is the trace's own pace (default: max)"
        )
        parser.add_argument(
            "--start", type=_moment, help="time of the trace's zero, RFC 3339 (default: its own, else 2026-01-01)"
        )
        parser.add_argument("--limit", type=_positive, help="stop after so many requests")
        parser.add_argument("--duration", type=float, metavar="S", help="only the first S seconds of the trace")
        parser.add_argument(
            "--dataset", type=Path, help="servegen: token lengths (default: *_dataset.jsonl beside *_trace.csv)"
        )
        parser.add_argument("--url", help="another server (default: the running stack); needs --key")
        parser.add_argument("--key", help="API key with scope ingest (default: one made for this run)")
        parser.add_argument(
            "--retry-for", type=float, default=120, metavar="S", help="outlast an outage of S seconds (default: 120)"
        )
        parser.add_argument(
            "--no-resume", action="store_true", help="send an unfinished replay from its first row again"
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        self.needs_stack = options["url"] is None
        if options["url"] and not options["key"]:
            raise CommandError(
                "--url needs --key: a key with scope ingest, made on that server with `manage.py create_api_key`"
            )
        return super().handle(*args, **options)

    def run(self, **options: Any) -> str | None:
        try:
            plan = Plan(
                FORMATS[options["format"]](options["file"], options["dataset"]),
                options["tenant"],
                options["model"],
                options["start"],
                options["speed"],
                options["limit"],
                options["duration"],
            )
            totals = self._replay(plan, options)
        except (TraceError, SendFailed, ValidationError) as error:
            raise CommandError(_text(error)) from error
        for line in totals.first_rejects:
            self.stderr.write(line)
        if totals.rejected:
            self.stdout.write(totals.line())
            raise CommandError(f"{totals.rejected} of {totals.requests} requests were rejected; they are in quarantine")
        return totals.line()

    def _replay(self, plan: Plan, options: dict[str, Any]) -> Totals:
        url = options["url"] or settings.STACK.web_url
        if not url:
            raise CommandError(
                "no web application is known: start `manage.py up`, or name it with --url or TALLYWATT_URL"
            )
        state = ReplayState(settings.DATA_DIR / "replay", plan.state_parts(url))
        if options["no_resume"]:
            state.clear()
        elif done := state.read().rows:
            self.stderr.write(
                f"going on after row {done}, the last that was acknowledged (--no-resume sends all again)"
            )
        interval_s = 0.2 if sys.stderr.isatty() else 10
        with (
            self._key(plan, options) as key,
            tqdm(total=plan.total(), unit="req", file=sys.stderr, mininterval=interval_s) as bar,
            Sender(url, key, retry_for_s=options["retry_for"], tell=_above(bar)) as sender,
        ):
            try:
                return replay(plan, sender, state, bar=bar)
            except KeyboardInterrupt:
                bar.close()
                self.stderr.write(
                    f"stopped after {state.read().rows} acknowledged requests; the same command goes on from there"
                )
                raise SystemExit(INTERRUPTED) from None

    @contextmanager
    def _key(self, plan: Plan, options: dict[str, Any]) -> Iterator[str]:
        """The key that was named; else, on the local stack, one that lives as long as this run, and the tenants it needs."""
        if options["url"] is None:
            self._create_missing(plan.tenants())
        if options["key"]:
            yield options["key"]
            return
        owner = None if plan.trace.clients() else plan.tenant
        key = keys.issue_key(owner, [Scope.INGEST], label=f"replay of {plan.trace.format}")
        try:
            yield key
        finally:  # after a kill -9 the row stays, but nobody knows its secret
            keys.revoke_key(key)

    def _create_missing(self, wanted: list[str]) -> None:
        known = {tenant.key for tenant in accounts.tenants()}
        missing = [key for key in wanted if key not in known]
        for key in missing:
            accounts.create_tenant(key)
        if missing:
            self.stderr.write(f"created {len(missing)} tenant{'s' * (len(missing) > 1)}: {', '.join(missing[:10])}")


def _text(error: Exception) -> str:
    return "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise ArgumentTypeError(f"expected `max` or a number above 0, got {text!r}")
    return speed


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _moment(text: str) -> datetime:
    """An RFC 3339 time or a date; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a time such as 2026-01-01T00:00:00Z, got {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _above(bar: "tqdm[Any]") -> Callable[[str], None]:
    """Writes a line to stderr without breaking the bar."""
    return lambda line: bar.write(line, file=sys.stderr)
