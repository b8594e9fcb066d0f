"""The fast road of CloudEvents: events of type `tallywatt.request` without extensions; all others are read by cloudevents.py."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import msgspec

from metering.ingest.columns import Columnar, NotColumnar, table_of
from metering.ingest.context import Decoded
from metering.ingest.decoders import cloudevents
from metering.ingest.decoders.common import check_count, check_values
from metering.ingest.records import CLOUD_EVENT, CLOUD_EVENTS, RAW_LIST, CloudEvent, values_of_cloudevents

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def columns_of_any(body: bytes, most: int) -> Columnar | None:
    """An array or a single event."""
    return columns_of_many(body, most) if body.lstrip()[:1] == b"[" else columns_of_one(body, most)


def columns_of_one(body: bytes, most: int) -> Columnar | None:
    """None if it is not a plain event."""
    try:
        return _columnar([CLOUD_EVENT.decode(body)], [body], None, [])
    except UNREADABLE:
        return None


def columns_of_many(body: bytes, most: int) -> Columnar | None:
    """The plain events of a batch as columns, the others as `rest`. None if there is no plain one."""
    check_values(body)
    try:
        events = CLOUD_EVENTS.decode(body)
    except UNREADABLE:
        return _read_each(body, most)
    check_count(len(events), most)
    return _columnar(events, _Parts(body), None, [])


def _read_each(body: bytes, most: int) -> Columnar | None:
    try:
        parts = [bytes(part) for part in RAW_LIST.decode(body)]
    except UNREADABLE:
        return None
    check_count(len(parts), most)
    events, positions, rest = [], [], []
    for index, part in enumerate(parts):
        try:
            events.append(CLOUD_EVENT.decode(part))
            positions.append(index)
        except UNREADABLE:
            rest.append(_slowly(index, part))
    return _columnar(events, parts, positions, rest)


def _columnar(
    events: list[CloudEvent], parts: "Sequence[bytes] | _Parts", positions: list[int] | None, rest: list[Decoded]
) -> Columnar | None:
    if not events:
        return None
    try:
        table, sure = table_of(values_of_cloudevents(events))
    except NotColumnar:
        return None

    def again(these: Sequence[int]) -> Iterator[Decoded]:
        return (_slowly(index, parts[index]) for index in these)

    return Columnar(table, again, positions, sure, rest)


class _Parts:
    """The bytes of each event of a batch, cut apart only when one is asked for."""

    def __init__(self, body: bytes) -> None:
        self._cut = cache(lambda: RAW_LIST.decode(body))

    def __getitem__(self, position: int) -> bytes:
        return bytes(self._cut()[position])


def _slowly(index: int, part: bytes) -> Decoded:
    (decoded,) = cloudevents.decode_many(b"[" + part + b"]", 1)
    return replace(decoded, index=index, raw=part)
