"""What an operator does about entries: replay or discard them, one or many.

One transaction of PostgreSQL claims the entries by their unique constraint, spools their events, and commits. Whoever claims
the same entry meanwhile waits for that, and is then told that it was decided. What each crash leaves behind:
- before the spool: nothing; the claim is rolled back with its transaction;
- after the spool, before the commit: the events are taken and the entry is open still. A second replay of the same bytes is the
  same (tenant, source, id) with the same content and time: a duplicate, which is counted once. Recording first would be
  the other way round: an entry that says it was replayed and an event that nobody has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from metering.clickhouse.queries.quarantine import Key
from metering.contracts import Credential
from metering.ingest import announce, local
from metering.ingest.context import Context
from metering.ingest.replaying import Check, Checked
from metering.ingest.spool import SpoolFull
from metering.models import QuarantineDecision
from metering.quarantine.entries import DecisionInfo, QuarantineEntry, decision_info
from metering.quarantine.preparing import Prepared, ReplayRefused, prepare, senders

Action = QuarantineDecision.Action
# The unique constraint decides: ON CONFLICT waits for a transaction that holds the same key. Rows go in in one order, so that
# two of these statements wait for each other in one direction only.
CLAIM = """
    INSERT INTO metering_quarantinedecision
        (batch, "row", reason, ingested_at, tenant, api_key, decoder, edited, action, decided_by, note, decided_at)
    SELECT *, %s, %s, %s, now() FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::text[],
        %s::text[], %s::bool[])
    ON CONFLICT (batch, "row", reason) DO NOTHING
    RETURNING id, batch, "row", reason
"""


class AlreadyDecided(RuntimeError):
    """Somebody was first; nothing was done. `decision` says who and what."""

    def __init__(self, decision: DecisionInfo) -> None:
        at = decision.decided_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        super().__init__(f"it was {decision.action} by {decision.decided_by} at {at}; nothing was done now")
        self.decision = decision


@dataclass
class Outcome:
    """Of some entries: those decided now (with the batch that they became), those refused, those that others decided first.

    `stopped`: why the rest was not tried, '' if all were.
    """

    done: dict[Key, str] = field(default_factory=dict)
    refused: dict[Key, ReplayRefused] = field(default_factory=dict)
    lost: list[Key] = field(default_factory=list)
    stopped: str = ""

    def add(self, other: "Outcome") -> None:
        self.done |= other.done
        self.refused |= other.refused
        self.lost += other.lost


def replay(entry: QuarantineEntry, edited: bytes | None, by: str) -> str:
    """Take the event after all; the batch that it became. Raises ReplayRefused, AlreadyDecided, SpoolFull or OSError."""
    _check_open(entry)
    outcome = _replay_of_one_sender([prepare(entry, edited, senders([entry]))], by)
    if entry.key in outcome.refused:
        raise outcome.refused[entry.key]
    _check_won(entry, outcome)
    return outcome.done[entry.key]


def discard(entry: QuarantineEntry, by: str, note: str = "") -> None:
    """Leave the event out for good; its bytes stay. Raises AlreadyDecided."""
    _check_open(entry)
    _check_won(entry, discard_all([entry], by, note))


def replay_all(entries: Sequence[QuarantineEntry], by: str) -> Outcome:
    """Each entry by itself: one that is refused does not hold up the others; a full spool does. Entries need their bytes."""
    outcome = Outcome()
    known = senders(entries)
    by_sender: dict[tuple[Credential, Check], list[Prepared]] = {}
    for entry in entries:
        try:
            prepared = prepare(entry, None, known)
        except ReplayRefused as refused:
            outcome.refused[entry.key] = refused
        else:
            by_sender.setdefault((prepared.credential, prepared.check), []).append(prepared)
    for group in by_sender.values():
        try:
            outcome.add(_replay_of_one_sender(group, by))
        except ReplayRefused as refused:
            outcome.refused |= dict.fromkeys((one.entry.key for one in group), refused)
        except (SpoolFull, OSError) as error:
            full = isinstance(error, SpoolFull)
            outcome.stopped = f"the spool is full: {error}" if full else "the disk of the spool does not take it"
            break
    return outcome


def discard_all(entries: Sequence[QuarantineEntry], by: str, note: str = "") -> Outcome:
    with transaction.atomic():
        claimed = _claim([(entry, False) for entry in entries], Action.DISCARDED, by, note)
    return _outcome(entries, claimed, "")


def _replay_of_one_sender(prepared: Sequence[Prepared], by: str) -> Outcome:
    """All of one sender and checked by the same rules."""
    context = Context(
        credential=prepared[0].credential,
        now=timezone.now(),
        max_age=settings.INGEST_MAX_AGE,
        max_future=settings.INGEST_MAX_FUTURE,
    )
    refused = _refused(prepared, context)
    good = [one for one in prepared if one.entry.key not in refused]
    outcome = Outcome(refused=refused)
    if good:
        outcome.add(_take(good, context, by))
    return outcome


def _refused(prepared: Sequence[Prepared], context: Context) -> dict[Key, ReplayRefused]:
    """The entries that the rules still refuse, each with its first fault."""
    owners = [(one.entry.key, position) for one in prepared for position in range(len(one.events))]
    found: dict[Key, ReplayRefused] = {}
    for reject in _checked(prepared, context).rejects:
        key, position = owners[reject.index]
        error = ReplayRefused(reject.reason.value, reject.message, field=reject.field, index=position)
        found.setdefault(key, error)
    return found


def _checked(prepared: Sequence[Prepared], context: Context) -> Checked:
    """All of them as one request: the same rules as at the edge, by the same code."""
    events = [event for one in prepared for event in one.events]
    return prepared[0].check((replace(event, index=index) for index, event in enumerate(events)), context)


def _take(prepared: Sequence[Prepared], context: Context, by: str) -> Outcome:
    with transaction.atomic():
        claimed = _claim([(one.entry, one.edited) for one in prepared], Action.REPLAYED, by, "")
        won = [one for one in prepared if one.entry.key in claimed]
        batch = _spooled(won, context) if won else ""
        if won:
            QuarantineDecision.objects.filter(pk__in=claimed.values()).update(replay_batch=batch)
    if won:
        announce.ready()
    return _outcome([one.entry for one in prepared], claimed, batch)


def _spooled(prepared: Sequence[Prepared], context: Context) -> str:
    batch = _checked(prepared, context)
    if batch.rejects:  # a rule changed between the two checks: take nothing, and let the claim be rolled back
        first = batch.rejects[0]
        raise ReplayRefused(first.reason.value, first.message, field=first.field)
    return local.spool().accept_all(batch.tables(), lane=context.credential.prefix).batch


def _claim(entries: Sequence[tuple[QuarantineEntry, bool]], action: str, by: str, note: str) -> dict[Key, int]:
    """The entries that are ours to decide, with the id of their decision. The others are decided already."""
    ordered = sorted(entries, key=lambda pair: (pair[0].batch, pair[0].row, pair[0].reason))
    columns: list[list[Any]] = [
        [entry.batch for entry, _ in ordered],
        [entry.row for entry, _ in ordered],
        [entry.reason for entry, _ in ordered],
        [entry.ingested_at for entry, _ in ordered],
        [_storable(entry.tenant) for entry, _ in ordered],
        [entry.api_key for entry, _ in ordered],
        [entry.decoder for entry, _ in ordered],
        [edited for _, edited in ordered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [action, _storable(by)[:200], _storable(note)[:1000], *columns])
        ids = {(str(UUID(str(batch))), row, reason): pk for pk, batch, row, reason in cursor.fetchall()}
    keys = ((entry.key, (entry.batch, entry.row, entry.reason)) for entry, _ in ordered)
    return {key: ids[name] for key, name in keys if name in ids}


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL; a rejected event may have named its tenant with one."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _outcome(entries: Sequence[QuarantineEntry], claimed: dict[Key, int], batch: str) -> Outcome:
    done = {entry.key: batch for entry in entries if entry.key in claimed}
    return Outcome(done=done, lost=[entry.key for entry in entries if entry.key not in claimed])


def _check_open(entry: QuarantineEntry) -> None:
    if entry.decision is not None:
        raise AlreadyDecided(entry.decision)


def _check_won(entry: QuarantineEntry, outcome: Outcome) -> None:
    if entry.key in outcome.lost:
        row = QuarantineDecision.objects.get(batch=entry.batch, row=entry.row, reason=entry.reason)
        raise AlreadyDecided(decision_info(row))
