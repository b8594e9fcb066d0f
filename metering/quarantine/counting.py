"""How many entries match, by reason, decoder and tenant."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count

from metering.clickhouse import client
from metering.clickhouse.queries.quarantine import COUNTED, Counts
from metering.quarantine.filters import EntryFilter, State
from metering.quarantine.scanning import decisions, scan

MOST_LISTED = 20  # tenants; an unknown tenant may have any name, so there may be very many
MOST_SEARCHED = 100_000


@dataclass(frozen=True)
class EntryCounts:
    """The most frequent first. `complete` False: there are more, they were not all looked at."""

    total: int
    by_reason: dict[str, int]
    by_decoder: dict[str, int]
    by_tenant: dict[str, int]
    complete: bool = True


def counts(asked: EntryFilter) -> EntryCounts:
    """Of all entries that match, whatever page is shown."""
    if asked.text and asked.state != State.ALL:
        return _searched(asked)
    if asked.state == State.ALL:
        found = {column: _stored(asked, column) for column in COUNTED}
    elif asked.state == State.OPEN:
        found = {column: _less(_stored(asked, column), _decided(asked, column)) for column in COUNTED}
    else:
        found = {column: _decided(asked, column) for column in COUNTED}
    return _counts(found)


def _stored(asked: EntryFilter, column: str) -> Counter[str]:
    return Counter(dict(client.run(Counts(column, asked.subset())).rows))


def _decided(asked: EntryFilter, column: str) -> Counter[str]:
    rows = decisions(asked)
    if asked.state != State.OPEN:
        rows = rows.filter(action=asked.state)
    return Counter(dict(rows.values(column).annotate(entries=Count("pk")).values_list(column, "entries")))


def _less(stored: Counter[str], decided: Counter[str]) -> Counter[str]:
    return stored - decided  # keeps what is positive


def _searched(asked: EntryFilter) -> EntryCounts:
    """ClickHouse has the text and PostgreSQL the state: each match is looked at."""
    found = scan(asked, MOST_SEARCHED)
    return _counts(
        {
            "reason": Counter(one.reason for one in found.found),
            "decoder": Counter(one.decoder for one in found.found),
            "tenant": Counter(one.tenant for one in found.found),
        },
        complete=found.next is None,
    )


def _counts(found: Mapping[str, Counter[str]], *, complete: bool = True) -> EntryCounts:
    by_reason = found["reason"]
    return EntryCounts(
        total=by_reason.total(),
        by_reason=dict(by_reason.most_common()),
        by_decoder=dict(found["decoder"].most_common()),
        by_tenant=dict(found["tenant"].most_common(MOST_LISTED)),
        complete=complete,
    )
