"""Deciding about everything that matches a filter, a bounded number at a time."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from metering.clickhouse.queries.quarantine import Key
from metering.quarantine.decisions import Outcome, discard_all, replay_all
from metering.quarantine.entries import QuarantineEntry, fetch
from metering.quarantine.filters import EntryFilter, State
from metering.quarantine.scanning import scan

MOST_AT_ONCE = 10_000
CHUNK = 500  # entries whose bytes are in memory at once: at most 32 MiB


@dataclass(frozen=True)
class BulkOutcome:
    """`failures`: how many stay open, by reason. `lost`: others decided them first. `next`: where to go on, None at the end.

    `stopped`: why it ended early, '' if it did not; what was done until then is done.
    """

    done: int
    failures: dict[str, int]
    lost: int
    next: Key | None
    stopped: str = ""


def replay_matching(asked: EntryFilter, by: str, *, after: Key | None = None, limit: int = MOST_AT_ONCE) -> BulkOutcome:
    """Replay the open entries that match, in the order of their arrival: of two with one identity, the first is billed."""
    return _carry_out(asked, after, limit, True, lambda entries: replay_all(entries, by))


def discard_matching(
    asked: EntryFilter, by: str, note: str = "", *, after: Key | None = None, limit: int = MOST_AT_ONCE
) -> BulkOutcome:
    """Discard the open entries that match, the oldest first."""
    return _carry_out(asked, after, limit, False, lambda entries: discard_all(entries, by, note))


def _carry_out(
    asked: EntryFilter,
    after: Key | None,
    limit: int,
    with_raw: bool,
    decide: Callable[[Sequence[QuarantineEntry]], Outcome],
) -> BulkOutcome:
    """What is refused stays open, so the position moves on past it: else the same entries would be tried for ever."""
    found = scan(replace(asked, state=State.OPEN), min(limit, MOST_AT_ONCE), after, oldest_first=True)
    done, lost, failures = 0, 0, Counter[str]()
    position = after
    for start in range(0, len(found.keys), CHUNK):
        keys = found.keys[start : start + CHUNK]
        outcome = decide(fetch(keys, with_raw=with_raw))
        done, lost = done + len(outcome.done), lost + len(outcome.lost)
        failures.update(refused.reason for refused in outcome.refused.values())
        if outcome.stopped:
            return BulkOutcome(done, dict(failures.most_common()), lost, position, outcome.stopped)
        position = keys[-1]
    return BulkOutcome(done, dict(failures.most_common()), lost, found.next)
