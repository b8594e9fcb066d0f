"""`manage.py quarantine list|show|replay|discard`: what was not taken, and what to do about it, from a terminal."""

import getpass
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from metering.clickhouse.queries.quarantine import Key
from metering.ingest import local
from metering.ingest.spool import SpoolFull
from metering.management.base import StackCommand
from metering.quarantine.bulk import BulkOutcome, discard_matching, replay_matching
from metering.quarantine.counting import counts
from metering.quarantine.decisions import AlreadyDecided, discard, replay
from metering.quarantine.entries import QuarantineEntry, entries, entry
from metering.quarantine.filters import FILTERS, EntryFilter, UnknownFilter
from metering.quarantine.preparing import ReplayRefused
from metering.quarantine.rendering import rendered

NARROWING = tuple(name for name in FILTERS if name != "state")


class Command(StackCommand):
    help = "List, show, replay and discard events that were not taken."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=["list", "show", "replay", "discard"])
        parser.add_argument("entry", nargs="?", help="BATCH/ROW/REASON, as the list has it")
        parser.add_argument("--all", action="store_true", help="replay or discard every open entry that matches")
        parser.add_argument("--file", help="replay these bytes instead of the entry's own; - is stdin")
        parser.add_argument("--note", default="", help="why it is discarded")
        parser.add_argument("--limit", type=int, default=100, help="how many the list shows")
        for name in FILTERS:
            parser.add_argument(f"--{name.replace('_', '-')}", dest=f"filter_{name}", default="")

    def run(self, **options: Any) -> str:
        action = str(options["action"])
        if action in {"replay", "discard"} and options["all"] == bool(options["entry"]):
            raise CommandError(f"{action} takes one entry, or --all with filters")
        if action == "replay" and not local.spool().in_use:
            raise CommandError(
                f"{local.spool().root} was never used: nothing would take a replay from here into ClickHouse. "
                "Run it on a host that ingests, or use the API or the page"
            )
        try:
            return self._run(action, options)
        except (UnknownFilter, AlreadyDecided, ReplayRefused, SpoolFull, OSError) as error:
            raise CommandError(_sentence(error)) from error

    def _run(self, action: str, options: dict[str, Any]) -> str:
        asked = EntryFilter.read({name: options[f"filter_{name}"] for name in FILTERS})
        if action == "list":
            return self._list(asked, options["limit"])
        if options["all"]:
            return self._all(action, asked, options)
        found = _named(options["entry"])
        if action == "show":
            return _shown(found)
        if action == "replay":
            return f"replayed as batch {replay(found, _bytes(options['file']), _by())}"
        discard(found, _by(), options["note"])
        return "discarded"

    def _list(self, asked: EntryFilter, limit: int) -> str:
        found = entries(asked, limit=max(limit, 1))
        total = counts(asked)
        if found.next is not None:
            self.stderr.write(f"the newest {len(found.entries)} of {total.total}; --limit shows more")
        return "\n".join(_line(one) for one in found.entries)

    def _all(self, action: str, asked: EntryFilter, options: dict[str, Any]) -> str:
        """Step by step to the end. Without a filter it is refused: everything should not be meant by leaving something out."""
        if options["file"]:
            raise CommandError("--file is for one entry")
        if not any(options[f"filter_{name}"] for name in NARROWING):
            raise CommandError("name a filter; for everything, --from 1970-01-01")
        done, after = 0, None
        while True:
            outcome = _step(action, asked, options["note"], after)
            done, after = done + outcome.done, outcome.next
            self._report(outcome)
            if outcome.stopped:
                raise CommandError(f"{done} done, then it ended early: {outcome.stopped}")
            if after is None:
                return str(done)

    def _report(self, outcome: BulkOutcome) -> None:
        for reason, count in outcome.failures.items():
            self.stderr.write(f"{count} still refused, and open: {reason}")
        if outcome.lost:
            self.stderr.write(f"{outcome.lost} were decided by somebody else meanwhile")


def _step(action: str, asked: EntryFilter, note: str, after: Key | None) -> BulkOutcome:
    if action == "replay":
        return replay_matching(asked, _by(), after=after)
    return discard_matching(asked, _by(), note, after=after)


def _named(text: str | None) -> QuarantineEntry:
    batch, _, rest = (text or "").partition("/")
    row, _, reason = rest.partition("/")
    try:
        found = entry(str(UUID(batch)), int(row), reason)
    except ValueError:
        raise CommandError(f"{text!r} is not an entry: BATCH/ROW/REASON") from None
    if found is None:
        raise CommandError(f"there is no entry {text}")
    return found


def _line(one: QuarantineEntry) -> str:
    name = f"{one.batch}/{one.row}/{one.reason}"
    words = (one.ingested_at.isoformat(), name, one.state, one.tenant or "-", one.decoder, one.event_id or "-")
    return "\t".join((*words, " ".join(one.message.split())))


def _shown(one: QuarantineEntry) -> str:
    head = f"{_line(one)}\n\n{rendered(one.raw or b'').text}"
    return f"{head}\n\ncut off after 64 KiB" if one.truncated else head


def _bytes(path: str | None) -> bytes | None:
    if path is None:
        return None
    return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()


def _by() -> str:
    return f"{getpass.getuser()} (command line)"


def _sentence(error: Exception) -> str:
    if isinstance(error, ReplayRefused):
        return f"not replayed, and still open: {error.message} [{error.field or '-'}: {error.reason}]"
    return str(error)
