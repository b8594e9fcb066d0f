"""`manage.py simulate --hours N --plan demo|day`: a simulated fleet of GPUs, engines and tenants, sent through the node agents."""

import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from metering import accounts, keys
from metering.contracts import Scope
from metering.management.base import StackCommand
from metering.replay.trace import TraceError
from metering.simulator.agentpath import AgentPath, Destination, NotDelivered, Sent
from metering.simulator.fleet import Fleet
from metering.simulator.plan import Plan
from metering.simulator.provider import PLANS
from metering.simulator.script import ScriptError, read_script
from metering.simulator.servegen import ServeGenTraffic, servegen_tenants
from metering.simulator.traffic import Traffic
from tallywatt.errors import TallywattError

INTERRUPTED = 130  # what a shell reports for Ctrl-C
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
REPORT_EVERY_MS = HOUR_MS
FAST_EVENTS_S = 60  # in simulated time: at full speed more events travel together


class Command(StackCommand):
    help = "Simulate GPUs, engines and tenants, and send what their nodes' agents see. Everything sent says that it is simulated."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--hours", type=_positive, default=1.0, metavar="N", help="of simulated time (default: 1)")
        parser.add_argument(
            "--from",
            dest="start",
            type=_moment,
            metavar="TIME",
            help="where it begins, RFC 3339 (default: now, or so that it ends now with --speed max)",
        )
        parser.add_argument("--plan", choices=sorted(PLANS), default="demo", help="fleet and tenants (default: demo)")
        parser.add_argument("--nodes", type=int, metavar="N", help="the plan's first N nodes only")
        parser.add_argument("--scale", type=_positive, metavar="F", help="on the plan's requests per second")
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (default: 1)")
        parser.add_argument("--script", type=Path, help="JSON list of timed changes (docs/simulator.md)")
        parser.add_argument(
            "--servegen", type=Path, metavar="FILE", help="a ServeGen trace whose clients are the tenants"
        )
        parser.add_argument(
            "--speed", type=_speed, default=None, metavar="N|max", help="simulated seconds per second (default: max)"
        )
        parser.add_argument("--interval", type=int, default=10, metavar="S", help="between two readings (default: 10)")
        parser.add_argument(
            "--create-tenants", action="store_true", help="create the plan's tenants if they are missing"
        )
        parser.add_argument("--url", help="another server (default: the running stack); needs --key")
        parser.add_argument("--key", help="operator's API key with scope ingest (default: one made for this run)")

    def handle(self, *args: Any, **options: Any) -> str | None:
        self.needs_stack = options["url"] is None
        if options["url"] and not options["key"]:
            raise CommandError("--url needs --key: an operator's key with scope ingest, of that server")
        if options["url"] and options["create_tenants"]:
            raise CommandError("--create-tenants works on the local stack only")
        return super().handle(*args, **options)

    def run(self, **options: Any) -> str | None:
        try:
            plan, traffic = _plan(options)
            if options["create_tenants"]:
                self._create_missing(plan)
            with self._key(options) as key:
                sent = self._simulate(Fleet(plan, traffic, keep_minutes=1), _destination(plan, options, key), options)
        except KeyboardInterrupt:
            self.stderr.write("stopped; what has not been delivered lies in the data folder and goes with the same run")
            raise SystemExit(INTERRUPTED) from None
        except (ScriptError, TraceError, NotDelivered, TallywattError, ValueError) as error:
            raise CommandError(str(error)) from error
        return f"samples={sent.samples} events={sent.events}"

    def _simulate(self, fleet: Fleet, destination: Destination, options: dict[str, Any]) -> Sent:
        start_ms, sent = fleet.plan.start_ms, Sent(0, 0)
        end_ms = start_ms + round(options["hours"] * HOUR_MS)
        wait = _pace(start_ms, options["speed"])
        with AgentPath(fleet, destination) as path:
            while fleet.time_ms + destination.interval_s * 1000 <= end_ms:
                before_ms = fleet.time_ms
                sent = path.run(min(before_ms + REPORT_EVERY_MS, end_ms), wait_until=wait)
                now = datetime.fromtimestamp(fleet.time_ms / 1000, UTC)
                self.stderr.write(f"{now:%Y-%m-%d %H:%M}  {sent.samples} samples, {sent.events} events")
            path.flush()
        return sent

    @contextmanager
    def _key(self, options: dict[str, Any]) -> Iterator[str]:
        if options["key"]:
            yield options["key"]
            return
        key = keys.issue_key(None, [Scope.INGEST], label="simulate")
        try:
            yield key
        finally:  # after a kill -9 the row stays, but nobody knows its secret
            keys.revoke_key(key)

    def _create_missing(self, plan: Plan) -> None:
        known = {tenant.key for tenant in accounts.tenants()}
        missing = [tenant.key for tenant in plan.tenants if tenant.key not in known]
        for key in missing:
            accounts.create_tenant(key, is_demo=True)
        if missing:
            self.stderr.write(f"created {len(missing)} tenant{'s' * (len(missing) > 1)}: {', '.join(missing)}")


def _plan(options: dict[str, Any]) -> tuple[Plan, Traffic | None]:
    changes = read_script(options["script"]) if options["script"] else ()
    given = {"seed": options["seed"], "changes": changes}
    if options["scale"]:
        given["scale"] = options["scale"]
    plan = PLANS[options["plan"]](_start_ms(options), **given)
    if options["nodes"]:
        plan = plan.with_first_nodes(options["nodes"])
    if not options["servegen"]:
        return plan, None
    shares = {model.name: 1.0 for model in plan.models if model.generates}
    plan = replace(plan, tenants=servegen_tenants(options["servegen"], shares))
    return plan, ServeGenTraffic(plan, options["servegen"])


def _start_ms(options: dict[str, Any]) -> int:
    """A whole minute."""
    if options["start"] is not None:
        return int(options["start"].timestamp() * 1000) // MINUTE_MS * MINUTE_MS
    now_ms = time.time_ns() // 1_000_000
    back_ms = round(options["hours"] * HOUR_MS) if options["speed"] is None else 0
    return (now_ms - back_ms) // MINUTE_MS * MINUTE_MS


def _destination(plan: Plan, options: dict[str, Any], key: str) -> Destination:
    url = options["url"] or settings.STACK.web_url
    if not url:
        raise CommandError("no web application is known: start `manage.py up`, or name it with --url or TALLYWATT_URL")
    interval_s = options["interval"]
    if not 1 <= interval_s <= 60 or 60 % interval_s:
        raise CommandError("--interval: expected a part of a minute, from 1 to 60 s")
    return Destination(
        url=url,
        key=key,
        folder=settings.DATA_DIR / "simulate" / f"{plan.start_ms}-{plan.seed}",
        interval_s=interval_s,
        events_every_s=FAST_EVENTS_S if options["speed"] is None else interval_s,
    )


def _pace(start_ms: int, speed: float | None) -> Callable[[int], None] | None:
    """Lets the fleet go on when a time has come; None: at once."""
    if speed is None:
        return None
    began_s = time.monotonic()
    # At speed 1 the fleet goes with the clock: what lies in the past is caught up with at once.
    began_ms = time.time_ns() // 1_000_000 if speed == 1 else start_ms

    def wait_until(time_ms: int) -> None:
        time.sleep(max((time_ms - began_ms) / 1000 / speed - (time.monotonic() - began_s), 0))

    return wait_until


def _speed(text: str) -> float | None:
    return None if text == "max" else _positive(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _moment(text: str) -> datetime:
    """An RFC 3339 time or a date; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a time such as 2026-11-24T00:00:00Z, got {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
