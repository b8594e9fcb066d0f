"""From a sum of usage down to what it is made of: hours from the ledger, minutes and requests from the events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import BAND, Scope
from metering.contracts import DIMENSIONS

# The partition that is billed: every token is in one part. `request`: requests themselves.
PARTS = {
    "input": "toInt64(input_tokens) - toInt64(cached_input_tokens) - toInt64(cache_write_tokens)",
    "cached_input": "toInt64(cached_input_tokens)",
    "cache_write": "toInt64(cache_write_tokens)",
    "output": "toInt64(output_tokens) - toInt64(reasoning_tokens)",
    "reasoning": "toInt64(reasoning_tokens)",
}
REQUEST = "request"


@dataclass(frozen=True)
class Slice:
    """Usage in `[start_s, end_s)` of certain values of dimensions, of which `parts` are meant: names of PARTS, and REQUEST."""

    start_s: int
    end_s: int
    dimensions: tuple[tuple[str, str | int], ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Slices:
    """Several of them, as SQL. `at`: the column of time; `band`: what the dimension context_band is; `requests`: how many a row is."""

    slices: tuple[Slice, ...]
    at: str
    band: str
    requests: str

    def quantity(self) -> str:
        """How much of a row is meant: 0 where no slice has it."""
        branches = ", ".join(f"{self._holds(n)}, {self._sum(one)}" for n, one in enumerate(self.slices))
        return f"multiIf({branches}, toInt64(0))" if branches else "toInt64(0)"

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, one in enumerate(self.slices):
            found |= {f"from_{number}": one.start_s, f"until_{number}": one.end_s}
            found |= {f"d{number}_{name}": value for name, value in one.dimensions}
        return found

    def _holds(self, number: int) -> str:
        conditions = [
            f"{self.at} >= toDateTime(%(from_{number})s, 'UTC')",
            f"{self.at} < toDateTime(%(until_{number})s, 'UTC')",
        ]
        for name, _ in self.slices[number].dimensions:
            if name not in DIMENSIONS:
                raise ValueError(f"unknown dimension {name!r}")
            column = self.band if name == "context_band" else name
            conditions.append(f"{column} = %(d{number}_{name})s")
        return f"({' AND '.join(conditions)})"

    def _sum(self, one: Slice) -> str:
        terms = [f"toInt64({self.requests})" if part == REQUEST else PARTS[part] for part in one.parts]
        return " + ".join(terms)


@dataclass(frozen=True)
class SliceHours:
    """Columns: hour (epoch s), requests, quantity; hours without a quantity are left out. From the ledger, of seals in `(after, as_of]`."""

    name: ClassVar[str] = "slice_hours"
    tenant: str
    slices: tuple[Slice, ...]
    after_seal: int
    as_of: int
    abandoned: tuple[int, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        sliced = Slices(self.slices, at="bucket", band="context_band", requests="requests")
        abandoned = "AND seal NOT IN %(abandoned)s" if self.abandoned else ""
        text = f"""
            SELECT toUnixTimestamp(toStartOfHour(bucket)) AS hour_s, sum(requests) AS n, sum(part) AS quantity
            FROM
            (
                SELECT bucket, requests, {sliced.quantity()} AS part
                FROM usage_ledger
                WHERE tenant = %(tenant)s AND bucket >= toDateTime(%(start_s)s, 'UTC') AND bucket < toDateTime(%(end_s)s, 'UTC')
                    AND seal > %(after_seal)s AND seal <= %(as_of)s {abandoned}
            )
            WHERE part != 0
            GROUP BY hour_s ORDER BY hour_s
        """
        return text, sliced.parameters() | self._bounds()

    def _bounds(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "tenant": self.tenant,
            "start_s": min(one.start_s for one in self.slices),
            "end_s": max(one.end_s for one in self.slices),
            "after_seal": self.after_seal,
            "as_of": self.as_of,
        }
        return found | ({"abandoned": list(self.abandoned)} if self.abandoned else {})


@dataclass(frozen=True)
class SliceMinutes:
    """Columns: minute (epoch s), requests, quantity; from the events in scope."""

    name: ClassVar[str] = "slice_minutes"
    scope: Scope
    slices: tuple[Slice, ...]

    def sql(self) -> tuple[str, dict[str, Any]]:
        sliced = _of_events(self.slices)
        text = f"""
            SELECT toUnixTimestamp(toStartOfMinute(at)) AS minute_s, count() AS n, sum(part) AS quantity
            FROM
            (
                SELECT toDateTime(time, 'UTC') AS at, {sliced.quantity()} AS part
                FROM requests WHERE {self.scope.events()}
            )
            WHERE part != 0
            GROUP BY minute_s ORDER BY minute_s
        """
        return text, self.scope.parameters() | sliced.parameters()


REQUEST_COLUMNS = (
    "source",
    "id",
    "model",
    "operation",
    "tier",
    "region",
    "status",
    "project",
    "api_key_id",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


@dataclass(frozen=True)
class SliceRequests:
    """Columns: time (epoch ms), quantity, REQUEST_COLUMNS; in the order of time, source, id."""

    name: ClassVar[str] = "slice_requests"
    scope: Scope
    slices: tuple[Slice, ...]

    def sql(self) -> tuple[str, dict[str, Any]]:
        sliced = _of_events(self.slices)
        text = f"""
            SELECT toUnixTimestamp64Milli(time) AS time_ms, part, {", ".join(REQUEST_COLUMNS)}
            FROM
            (
                SELECT time, toDateTime(time, 'UTC') AS at, {sliced.quantity()} AS part, {", ".join(REQUEST_COLUMNS)}
                FROM requests WHERE {self.scope.events()}
            )
            WHERE part != 0
            ORDER BY time_ms, source, id
        """
        return text, self.scope.parameters() | sliced.parameters()


def _of_events(slices: Sequence[Slice]) -> Slices:
    return Slices(tuple(slices), at="at", band=f"({BAND})", requests="1")
