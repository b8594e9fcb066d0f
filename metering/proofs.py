"""Digests of requests and proofs that one is among them. What a proof is made of, and how anyone checks it: docs/proof.md.

Everything here is as of a seal: the requests that arrived before its watermark, each once, exactly those that the ledger counts.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from metering.clickhouse import client
from metering.clickhouse.queries.proofs import Buckets, Identity, LeafCounts, Leaves
from metering.clickhouse.queries.usage import Scope
from metering.contracts import SealInfo
from metering.ledger import abandoned_up_to
from metering.moments import from_microseconds, milliseconds, seconds

LEAF, NODE, BUCKET = (
    b"\x00",
    b"\x01",
    b"\x02",
)  # what is hashed begins with one of these, so that none passes for another
EMPTY = hashlib.sha256(BUCKET).digest()
BUCKET_BITS = 7  # a bucket holds 64 to 128 leaves on average, 38 or more if it must: what a proof has to list
DEEPEST = 20
TIMEOUT_S = 900
MAX_ROWS = 3_000_000
MOST_LEAVES = 4_000_000  # in one statement: its memory is about 100 bytes for each
MOST_TENANTS = 500  # in one statement: they stand in it


@dataclass(frozen=True)
class UsagePart:
    """Requests with a time in `[start, end)` that arrived before the watermark of `as_of`, and not before that of `after`."""

    start: datetime
    end: datetime
    as_of: SealInfo
    after: SealInfo | None = None

    def scope(self, tenants: tuple[str, ...], identities: tuple[int, int] | None = None) -> Scope:
        return Scope(
            spans=((milliseconds(self.start), milliseconds(self.end)),),
            arrived_from=self.after.watermark if self.after else None,
            arrived_until=self.as_of.watermark,
            tenants=tenants,
            identities=identities,
        )


@dataclass(frozen=True)
class Digest:
    """`top` of the tree over so many `leaves`."""

    top: bytes
    leaves: int


@dataclass(frozen=True)
class RequestProof:
    """`text` of one request; `siblings`: the other leaves of its bucket, in order; `path`: the hashes beside the way up, each with whether
    it stands on the left. `digest`: what it leads to.
    """

    time: datetime
    text: str
    siblings: tuple[bytes, ...]
    path: tuple[tuple[bool, bytes], ...]
    digest: Digest


class SeveralRequests(ValueError):
    """The tenant used that id more than once, more than 24 hours apart: each is a request, and the time says which is meant."""

    def __init__(self, times: Sequence[datetime]) -> None:
        super().__init__(f"{len(times)} requests have this id")
        self.times = tuple(times)


def digests(tenants: Sequence[str], part: UsagePart) -> dict[str, Digest]:
    """The digest of each tenant's requests of the part; who has none has no row."""
    found: dict[str, Digest] = {}
    for group in _groups(_counts(tuple(tenants), part)):
        for tenant, (buckets, leaves) in _buckets(group, part).items():
            found[tenant] = Digest(_levels(buckets)[-1], leaves)
    return found


def request_proof(
    tenant: str, part: UsagePart, request_id: str, source: str = "", at: datetime | None = None
) -> RequestProof | None:
    """None if the request is not in the part. `at`: the request's time, where an id was used again. Raises SeveralRequests."""
    identity, same = _same(tenant, part, request_id, source)
    if at is not None:
        same = [row for row in same if row.time == at]
    if not same:
        return None
    if len(same) > 1:
        raise SeveralRequests(sorted(row.time for row in same))
    depth = _depth(dict(_counts((tenant,), part)).get(tenant, 0))
    bucket = identity >> (64 - depth)
    beside = [row.leaf for row in _leaves(tenant, part, _range(bucket, depth))]
    beside.remove(same[0].leaf)
    packed, leaves = _kept_buckets(tenant, part)
    levels = _levels(packed)
    return RequestProof(
        same[0].time, same[0].text, tuple(beside), tuple(_path(levels, bucket)), Digest(levels[-1], leaves)
    )


def request_times(tenant: str, part: UsagePart, request_id: str, source: str = "") -> list[datetime]:
    """When the requests of that id were, of those in the part: mostly one or none."""
    return sorted(row.time for row in _same(tenant, part, request_id, source)[1])


@dataclass(frozen=True)
class _Leaf:
    source: str
    id: str
    time: datetime
    text: str
    leaf: bytes


def _same(tenant: str, part: UsagePart, request_id: str, source: str) -> tuple[int, list[_Leaf]]:
    """The value of `identity` for that id, and the requests in the part that have the id."""
    identity = int(client.run(Identity(tenant, source, request_id)).rows[0][0])
    near = _leaves(tenant, part, (identity, identity))
    return identity, [row for row in near if (row.source, row.id) == (source, request_id)]


def _leaves(tenant: str, part: UsagePart, identities: tuple[int, int]) -> list[_Leaf]:
    rows = client.run(Leaves(part.scope((tenant,), identities)), timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    return [
        _Leaf(source, key, from_microseconds(time_ms * 1000), text, bytes.fromhex(leaf))
        for source, key, time_ms, text, leaf in rows
    ]


def _counts(tenants: tuple[str, ...], part: UsagePart) -> list[tuple[str, int]]:
    """Requests by the ledger, of those that have any. They only decide the shape of a tree, never what is in it."""
    found: list[tuple[str, int]] = []
    for first in range(0, len(tenants), MOST_TENANTS):
        query = LeafCounts(
            start_s=seconds(part.start),
            end_s=seconds(part.end),
            after_seal=part.after.id if part.after else 0,
            as_of=part.as_of.id,
            tenants=tenants[first : first + MOST_TENANTS],
            abandoned=abandoned_up_to(part.as_of.id),
        )
        found += [(tenant, int(count)) for tenant, count in client.run(query, timeout_s=TIMEOUT_S).rows]
    return found


def _groups(counts: Sequence[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Tenants with their counts, as many together as one statement takes."""
    group: list[tuple[str, int]] = []
    for tenant, count in counts:
        if group and (len(group) == MOST_TENANTS or sum(n for _, n in group) + count > MOST_LEAVES):
            yield group
            group = []
        group.append((tenant, count))
    if group:
        yield group


def _buckets(group: Sequence[tuple[str, int]], part: UsagePart) -> dict[str, tuple[bytes, int]]:
    """Per tenant the digests of all its buckets, one after the other, and its number of leaves."""
    depths = {tenant: _depth(count) for tenant, count in group}
    found = {tenant: bytearray(EMPTY * 2**depth) for tenant, depth in depths.items()}
    leaves = dict.fromkeys(depths, 0)
    for identities in _slices(sum(count for _, count in group), min(depths.values())):
        query = Buckets(part.scope(tuple(depths), identities), tuple(depths.items()))
        for tenant, bucket, count, digest in client.stream(query, timeout_s=TIMEOUT_S):
            found[tenant][bucket * 32 : bucket * 32 + 32] = bytes.fromhex(digest)
            leaves[tenant] += count
    return {tenant: (bytes(found[tenant]), count) for tenant, count in leaves.items() if count}


def _slices(leaves: int, depth: int) -> Iterator[tuple[int, int] | None]:
    """Ranges of identities, of whole buckets, each with about MOST_LEAVES at most; one statement for each."""
    bits = min(depth, (-(-leaves // MOST_LEAVES) - 1).bit_length())
    yield from (None,) if bits == 0 else (_range(n, bits) for n in range(2**bits))


def _range(bucket: int, depth: int) -> tuple[int, int]:
    return bucket << (64 - depth), ((bucket + 1) << (64 - depth)) - 1


def _depth(leaves: int) -> int:
    return min(DEEPEST, max(0, (leaves - 1).bit_length() - BUCKET_BITS))


@lru_cache(maxsize=4)
def _kept_buckets(tenant: str, part: UsagePart) -> tuple[bytes, int]:
    """As of a seal the buckets stay what they are, and whoever asks for one proof asks for the next."""
    return _buckets(_counts((tenant,), part), part)[tenant]


def _levels(buckets: bytes) -> list[bytes]:
    """The tree from its buckets up to the top, each level one text of 32-byte hashes."""
    levels = [buckets]
    while len(levels[-1]) > 32:
        below = levels[-1]
        levels.append(b"".join(hashlib.sha256(NODE + below[n : n + 64]).digest() for n in range(0, len(below), 64)))
    return levels


def _path(levels: Sequence[bytes], bucket: int) -> Iterator[tuple[bool, bytes]]:
    at = bucket
    for level in levels[:-1]:
        beside = at ^ 1
        yield beside < at, level[beside * 32 : beside * 32 + 32]
        at //= 2
