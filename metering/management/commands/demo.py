"""`manage.py demo seed` and `manage.py demo traffic`: a made-up provider to look at. `up --demo` runs both."""

import signal
import sys
import threading
import time
from datetime import UTC, datetime
from io import StringIO
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.db import DatabaseError
from tqdm import tqdm

from metering import keys
from metering.capacity import storing as capacity
from metering.contracts import Scope
from metering.demo import agreements, history, seed, state
from metering.demo.provider import CUSTOMERS
from metering.demo.traffic import BACKLOG, send_until
from metering.ingest import hosts, local
from metering.ingest.drain import drain
from metering.management.base import StackCommand
from metering.simulator.agentpath import NotDelivered
from tallywatt.errors import TallywattError

DRAINED_WITHIN_S = 300


class Stopped(BaseException):
    """SIGTERM or SIGINT: not an Exception, so that no retry swallows it."""


class Command(StackCommand):
    help = "A made-up provider: `seed` makes it and tops up its history, `traffic` keeps it busy until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", choices=["seed", "traffic"])

    def run(self, **options: Any) -> str | None:
        if options["what"] == "seed":
            return self._seed()
        self._traffic()
        return None

    def _seed(self) -> str:
        now = datetime.now(UTC)
        demo = state.load(settings.DATA_DIR) or state.begin(settings.DATA_DIR, now)
        self._say("demo: customers, people, prices, contracts, tariffs, objectives")
        seed.create_customers()
        seed.create_people(demo)
        seed.set_prices(OutputWrapper(StringIO()))
        if not demo.agreed:
            agreements.agree(now, OutputWrapper(StringIO()), self._say)
            demo.agreed = True
            demo.save()
        seed.set_tariffs()
        seed.set_objectives()
        count = self._history(demo, now - BACKLOG)  # the fleet of the live traffic begins there
        # A forecast made meanwhile took days that were not there yet for idle ones.
        capacity.ask_again(datetime.now(UTC))
        self._say("demo: last month's invoices")
        seed.close_months(demo, now, OutputWrapper(StringIO()), self._say)
        return f"demo data is in place: {count} events added, {len(CUSTOMERS)} customers"

    def _history(self, demo: state.DemoState, now: datetime) -> int:
        """Spool what is missing up to `now`, and wait until it is inserted."""
        begin = demo.covered_until
        hours = max((now - begin).total_seconds() / 3600, 0)
        with tqdm(total=round(hours), desc="demo: history", unit="h", file=sys.stderr) as bar:

            def covered(until: datetime) -> None:
                demo.covered_until = until
                demo.save()
                bar.update(round((until - begin).total_seconds() / 3600) - bar.n)

            count = history.put(local.spool(), demo.anchor, begin, now, covered)
        self._wait_until_inserted()
        return count

    def _wait_until_inserted(self) -> None:
        """The worker inserts meanwhile; where there is none, this process does."""
        spool = local.spool()
        files = len(spool.pending())
        give_up_at = time.monotonic() + DRAINED_WITHIN_S
        with tqdm(total=files, desc="demo: insert", unit="file", file=sys.stderr, leave=False) as bar:
            while spool.pending() or any(spool.groups.glob("*.json")):
                if time.monotonic() > give_up_at:
                    raise CommandError(
                        f"the history is spooled, but not inserted after {DRAINED_WITHIN_S} s; see the worker's log"
                    )
                if not drain(spool):
                    time.sleep(0.2)
                if inserted := files - len(spool.pending()) - bar.n:
                    bar.update(inserted)
        hosts.publish()

    def _traffic(self) -> None:
        demo = state.load(settings.DATA_DIR)
        if demo is None:
            raise CommandError("there is no demo to keep busy: run `manage.py demo seed` first")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        key = keys.issue_key(None, [Scope.INGEST], label="demo traffic")
        self._say("demo: a simulated fleet sends live traffic")
        try:
            send_until(
                threading.Event(),
                demo,
                datetime.now(UTC),
                url=settings.STACK.web_url,
                key=key,
                folder=settings.DATA_DIR / "demo-agents",
                # As after the history, for its last hours.
                caught_up=lambda: capacity.ask_again(datetime.now(UTC)),
            )
        except (NotDelivered, TallywattError) as error:
            raise CommandError(str(error)) from error
        except Stopped:
            self._say("demo: stopped")
        finally:
            self._revoke(key)

    def _revoke(self, key: str) -> None:
        try:
            keys.revoke_key(key)
        except DatabaseError as error:  # PostgreSQL went first; nobody knows the key's secret any more
            self._say(f"demo: the key of this run could not be revoked: {error}")

    def _say(self, text: str) -> None:
        self.stderr.write(text)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
