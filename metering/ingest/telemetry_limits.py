"""The limits of telemetry_series.py over all requests of an API key, counted in Redis by the hour.

Without Redis they hold within one request. Counts protect, they are not exact: two requests that arrive at once may both take the last
place.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from itertools import compress
from typing import Any

from django.conf import settings

from metering.contracts import Credential
from metering.ingest.telemetry_checking import SampleBatch
from metering.ingest.telemetry_series import Count, Group, Place, Series, admit, digest, of_a_key, places, series_of
from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

HOUR_S = 3600
KEPT_S = 2 * HOUR_S
PAUSE_S = 5.0  # Redis is left alone this long after a failure
COMMANDS = 2_000  # asked at once: a pipeline without end would hold up Redis, and exceed its time limit

Members = Mapping[Group, Iterable[str]]


def limit(batch: SampleBatch, credential: Credential) -> None:
    """Refuse the samples of `batch` whose series is one too many; the others are counted."""
    if not batch.taken:
        return
    asked = {series: digest(*series) for series in dict.fromkeys(series_of(record) for _, record in batch.taken)}
    counts, all_of_it = _Counts(credential.prefix), of_a_key(settings.TELEMETRY_MAX_SERIES)
    before = counts.load({all_of_it: asked.values()})[all_of_it]
    new: dict[Series, list[Place]] = {
        series: [(all_of_it, member)] for series, member in asked.items() if member not in before.known
    }
    if not new:  # as a rule
        return
    if before.before < all_of_it.limit.most:
        for series, found in new.items():
            found.extend(places(series))
    refused = admit(new, {group: Count() for group in _members(new)})  # so that Redis is asked for so many at most
    left = {series: found for series, found in new.items() if series not in refused}
    stored = counts.load(_members(left))
    refused |= admit(left, stored)
    counts.store(stored)
    if refused:
        _refuse(batch, refused)


def _refuse(batch: SampleBatch, refused: Mapping[Series, Any]) -> None:
    taken, batch.taken = batch.taken, []
    for position, record in taken:
        bad = refused.get(series_of(record))
        if bad is None:
            batch.taken.append((position, record))
        else:
            batch.refuse(position, bad)
    batch.rejects.sort(key=lambda reject: reject.index)


def _members(given: Mapping[Series, Iterable[Place]]) -> Members:
    found: dict[Group, dict[str, None]] = {}
    for members in given.values():
        for group, member in members:
            found.setdefault(group, {})[member] = None
    return found


class _Pause:
    until = 0.0


class _Counts:
    """The groups of one key, as Redis has them in this hour: a set of digests for each."""

    def __init__(self, prefix: str) -> None:
        self._base = f"tallywatt:series:{prefix}:{int(time.time()) // HOUR_S}"

    def load(self, members: Members) -> dict[Group, Count]:
        """How many each group has, and which of these members; none without Redis."""
        found = [(group, self._key(group), list(asked)) for group, asked in members.items()]
        answers = self._run(
            [command for _, key, asked in found for command in (("scard", key), ("smismember", key, asked))]
        )
        if not answers:
            return {group: Count() for group in members}
        return {
            group: Count(before, frozenset(compress(asked, there)))
            for (group, _, asked), before, there in zip(found, answers[::2], answers[1::2], strict=True)
        }

    def store(self, counts: Mapping[Group, Count]) -> None:
        """Keep what was added, for an hour and a bit."""
        added = [(self._key(group), count.added) for group, count in counts.items() if count.added]
        self._run([command for key, new in added for command in (("sadd", key, *new), ("expire", key, KEPT_S))])

    def _key(self, group: Group) -> str:
        return f"{self._base}:{group.limit.name}:{digest(*group.of)}"

    def _run(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """The answers, in order; none if Redis does not give them all."""
        if not commands or time.monotonic() < _Pause.until:
            return []
        answers = []
        try:
            for start in range(0, len(commands), COMMANDS):
                pipe = link().pipeline(transaction=False)
                for name, *arguments in commands[start : start + COMMANDS]:
                    getattr(pipe, name)(*arguments)
                answers += pipe.execute()
        except TROUBLE as error:
            _Pause.until = time.monotonic() + PAUSE_S
            logger.warning("series are counted by request for %s s, Redis does not answer: %s", PAUSE_S, error)
            return []
        return answers
