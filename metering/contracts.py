"""What crosses the border of this package: frozen values only. `metering.public` has the functions.

Times are aware datetimes in UTC, windows half-open `[start, end)`, token counts whole numbers.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

BUCKET_MINUTES = 15  # the ledger's grain: quarter-hour time zones align with it

# Upper edges, in input tokens, of the context bands of the ledger. A price threshold must be one of these.
CONTEXT_EDGES = (32_000, 64_000, 128_000, 200_000, 256_000, 512_000, 1_000_000)
BEYOND_LAST_EDGE = 2**32 - 1

DIMENSIONS = ("project", "api_key_id", "model", "operation", "tier", "region", "status", "context_band")
MEASURES = (
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


class Scope(StrEnum):
    INGEST = "ingest"
    USAGE_READ = "usage:read"
    FINANCE_READ = "finance:read"
    QUARANTINE = "quarantine"
    METERS_WRITE = "meters:write"  # define and archive meters; for operators' keys
    METRICS = "metrics:read"


class RejectReason(StrEnum):
    """Why an event was not taken. The value is what senders see and what quarantine stores."""

    MALFORMED = "malformed"  # not the JSON or Arrow it claims to be
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    INVARIANT = "invariant"  # cached + cache_write > input, or reasoning > output
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    UNKNOWN_TENANT = "unknown_tenant"
    FOREIGN_TENANT = "foreign_tenant"  # a single-tenant key named another tenant
    UNKNOWN_TYPE = "unknown_type"  # a CloudEvents type that no meter is defined for
    CONFLICT = "conflict"  # same identity, other content: the first one is billed
    REFUSED_BY_STORE = "refused_by_store"


@dataclass(frozen=True)
class TenantInfo:
    key: str
    name: str
    currency: str
    is_demo: bool


@dataclass(frozen=True)
class Credential:
    """Who calls the API. `tenant` None: an operator's key, which may name any tenant."""

    prefix: str
    tenant: str | None
    scopes: frozenset[str]
    observing: bool
    # Limits on what may be sent: None is the setting's default, 0 none.
    events_per_s: int | None = None
    tenant_events_per_s: int | None = None


@dataclass(frozen=True)
class SealInfo:
    """A completed seal: all events with `ingested_at < watermark` are in the ledger rows of seals up to `id`."""

    id: int
    watermark: datetime
    completed_at: datetime


@dataclass(frozen=True)
class UsageRow:
    """Usage of one combination of dimensions in one window. A dimension that was not asked for is ''.

    `context_band` is the upper edge in tokens (BEYOND_LAST_EDGE above the last), 0 if not asked for.
    """

    tenant: str
    window_start: datetime
    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    project: str = ""
    api_key_id: str = ""
    model: str = ""
    operation: str = ""
    tier: str = ""
    region: str = ""
    status: str = ""
    context_band: int = 0
