"""The digest of requests: leaves and buckets of a Merkle tree (docs/proof.md), computed where the events are.

A leaf is the hash of a request's canonical text. Buckets are ranges of the column `identity`, so that the few leaves beside one
request are read without hashing all others. Which bucket a leaf lies in needs no proof: the path from it to the root is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import Scope

FORMAT = "tallywatt-request-1"
# In the text every field is a line `name=value`. Texts have backslash and newline escaped; `id` is the last line, as it is.
TEXTS = ("project", "api_key_id", "model", "operation", "tier", "region", "status")
COUNTS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def _escaped(name: str) -> str:
    # Columns of few values: ClickHouse escapes each of these once.
    return rf"replaceAll(replaceAll({name}, '\\', '\\\\'), '\n', '\\n')"


def _text() -> str:
    parts = [rf"'{FORMAT}\ntenant='", _escaped("tenant"), r"'\nsource='", _escaped("source")]
    parts += [r"'\ntime_ms='", "toString(toUnixTimestamp64Milli(time))"]
    for name in TEXTS:
        parts += [rf"'\n{name}='", _escaped(name)]
    for name in COUNTS:
        parts += [rf"'\n{name}='", f"toString({name})"]
    parts += [r"'\nid='", "id"]
    return f"concat({', '.join(parts)})"


TEXT = _text()
# In hex: ClickHouse takes zero bytes off the end of a FixedString where it joins or casts one.
LEAF = f"lower(hex(SHA256(concat(unhex('00'), {TEXT}))))"


@dataclass(frozen=True)
class LeafCounts:
    """Requests per tenant that seals in `(after_seal, as_of]` added for a time, by the ledger: how deep each tree is."""

    name: ClassVar[str] = "leaf_counts"
    start_s: int
    end_s: int
    after_seal: int
    as_of: int
    tenants: tuple[str, ...] = ()
    abandoned: tuple[int, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        conditions = [
            "bucket >= toDateTime(%(start_s)s, 'UTC')",
            "bucket < toDateTime(%(end_s)s, 'UTC')",
            "seal > %(after_seal)s",
            "seal <= %(as_of)s",
        ]
        parameters: dict[str, Any] = {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "after_seal": self.after_seal,
            "as_of": self.as_of,
        }
        if self.tenants:
            conditions.insert(0, "tenant IN %(tenants)s")
            parameters["tenants"] = list(self.tenants)
        if self.abandoned:
            conditions.append("seal NOT IN %(abandoned)s")
            parameters["abandoned"] = list(self.abandoned)
        text = f"""
            SELECT tenant, sum(requests) AS leaves
            FROM usage_ledger WHERE {" AND ".join(conditions)}
            GROUP BY tenant ORDER BY tenant
        """
        return text, parameters


@dataclass(frozen=True)
class Buckets:
    """The digests of the buckets that are not empty: tenant, bucket, leaves in it, digest in hex.

    `depths`: of each tenant's tree, which has 2^depth buckets; a tenant that is not named has one.
    """

    name: ClassVar[str] = "digest_buckets"
    scope: Scope
    depths: tuple[tuple[str, int], ...]

    def sql(self) -> tuple[str, dict[str, Any]]:
        names: Sequence[str] = [tenant for tenant, _ in self.depths]
        # By halves, since shifting by all 64 bits is not defined.
        text = f"""
            SELECT tenant, bucket, count() AS leaves,
                lower(hex(SHA256(concat(unhex('02'), unhex(arrayStringConcat(arraySort(groupArray(leaf)))))))) AS digest
            FROM
            (
                SELECT tenant, {LEAF} AS leaf,
                    bitShiftRight(bitShiftRight(identity, 1), 63 - transform(tenant, %(names)s, %(depths)s, 0)) AS bucket
                FROM requests WHERE {self.scope.events()}
            )
            GROUP BY tenant, bucket ORDER BY tenant, bucket
        """
        return text, self.scope.parameters() | {"names": names, "depths": [depth for _, depth in self.depths]}


@dataclass(frozen=True)
class Leaves:
    """The requests in scope: source, id, time (epoch ms), text, leaf in hex; in the order of leaves."""

    name: ClassVar[str] = "digest_leaves"
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT source, id, toUnixTimestamp64Milli(time) AS time_ms, {TEXT} AS text, {LEAF} AS leaf
            FROM requests WHERE {self.scope.events()}
            ORDER BY leaf
        """
        return text, self.scope.parameters()


@dataclass(frozen=True)
class Identity:
    """The value of the column `identity` for an event."""

    name: ClassVar[str] = "identity"
    tenant: str
    source: str
    id: str

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = "SELECT cityHash64(%(tenant)s, %(source)s, %(id)s)"
        return text, {"tenant": self.tenant, "source": self.source, "id": self.id}
