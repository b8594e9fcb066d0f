"""The demo's past, put where HTTP puts events: into the spool, in canonical columns, by the batch."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from metering.demo.generate import HOUR, hour
from metering.ingest.schema import CANONICAL, STAMPED
from metering.ingest.spool import Spool
from metering.moments import hour_start

BATCH_ROWS = 100_000


def slices(anchor: datetime, begin: datetime, end: datetime) -> Iterator[tuple[datetime, pa.Table]]:
    """The events of `[begin, end)`, hour by hour, each with the end of its part of the range."""
    start = hour_start(begin)
    while start < end:
        events = hour(anchor, start)
        until = min(start + HOUR, end)
        if start < begin or until < start + HOUR:
            inside = pc.and_(
                pc.greater_equal(events["time"], _ms(max(start, begin))), pc.less(events["time"], _ms(until))
            )
            events = events.filter(inside)
        yield until, events
        start += HOUR


def put(spool: Spool, anchor: datetime, begin: datetime, end: datetime, covered: Callable[[datetime], None]) -> int:
    """Accept the events of `[begin, end)`; returns how many. `covered` is called when all up to a moment are durable."""
    total = 0
    waiting: list[pa.Table] = []
    for until, events in slices(anchor, begin, end):
        waiting.append(events)
        if until == end or sum(table.num_rows for table in waiting) >= BATCH_ROWS:
            batch = pa.concat_tables(waiting)
            if batch.num_rows:
                spool.accept(completed(batch), None)
            total += batch.num_rows
            waiting = []
            covered(until)
    return total


def completed(events: pa.Table) -> pa.Table:
    """All canonical columns but those that the spool stamps; what the demo does not have is empty, as from a sender."""
    count = events.num_rows
    absent = {"time_given": True, "observed": False, "cache_write_tokens": 0, "gpus": []}
    columns = {}
    for field in CANONICAL:
        if field.name in STAMPED:
            continue
        if field.name in events.column_names:
            columns[field.name] = events[field.name].cast(field.type)
        elif pa.types.is_dictionary(field.type):
            columns[field.name] = pa.repeat(pa.scalar("", pa.string()), count).dictionary_encode()
        else:
            columns[field.name] = pa.repeat(pa.scalar(absent.get(field.name, ""), field.type), count)
    return pa.table(columns)


def _ms(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", "UTC")).cast(pa.timestamp("ms", "UTC"), safe=False)
