"""One request by the id that its sender gave it."""

from dataclasses import dataclass
from typing import Any, ClassVar

COLUMNS = (
    "id",
    "source",
    "model",
    "operation",
    "tier",
    "region",
    "status",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


@dataclass(frozen=True)
class NamedRequest:
    """Arrivals of billable events of that id in their order, the first `most` of them: COLUMNS and `time_ms`.

    `source` None: of any. Reads one tenant's column of ids, in a thousandth of the table's bytes.
    """

    name: ClassVar[str] = "named_request"
    tenant: str
    identity: str
    source: str | None
    most: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        source = "" if self.source is None else "AND source = %(source)s"
        text = f"""
            SELECT {", ".join(COLUMNS)}, toUnixTimestamp64Milli(time) AS time_ms
            FROM requests
            PREWHERE tenant = %(tenant)s AND id = %(identity)s
            WHERE NOT observed {source}
            ORDER BY ingested_at, batch, row
            LIMIT {int(self.most)}
        """
        values = {"tenant": self.tenant, "identity": self.identity}
        return text, values if self.source is None else values | {"source": self.source}
