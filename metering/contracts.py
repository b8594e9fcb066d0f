"""What crosses the border of this package: frozen values only. `metering.public` has the functions.

Times are aware datetimes in UTC, windows half-open `[start, end)`, token counts whole numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

BUCKET_MINUTES = 15  # the ledger's grain: quarter-hour time zones align with it

# Upper edges, in input tokens, of the context bands of the ledger. A price threshold must be one of these.
CONTEXT_EDGES = (32_000, 64_000, 128_000, 200_000, 256_000, 512_000, 1_000_000)
BEYOND_LAST_EDGE = 2**32 - 1

RAW_TELEMETRY_DAYS = 14  # samples of GPUs and engines are kept this long, by their time: the TTL of their tables

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
    ANNOTATIONS_WRITE = "annotations:write"  # say that a deploy happened; for operators' keys


class RejectReason(StrEnum):
    """Why an event was not taken. The value is what senders see and what quarantine stores."""

    MALFORMED = "malformed"  # not the JSON or Arrow it claims to be
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    INVARIANT = "invariant"  # two fields contradict each other, such as cached + cache_write > input
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    UNKNOWN_TENANT = "unknown_tenant"
    FOREIGN_TENANT = "foreign_tenant"  # a single-tenant key named another tenant
    UNKNOWN_TYPE = "unknown_type"  # a CloudEvents type that no meter is defined for
    CONFLICT = "conflict"  # same identity, other content: the first one is billed
    REFUSED_BY_STORE = "refused_by_store"
    TOO_MANY_SERIES = "too_many_series"  # telemetry of more GPUs, engines or labels than one node or key may have


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


@dataclass(frozen=True)
class EnergyCostRow:
    """What one tenant's requests to one model took in one window, and what it cost, by currency and exact.

    A row with a `label` is nobody's: `idle`, or unattributed by its cause (gap, no_event, aborted, no_engine); its `tenant` is ''. The
    `unpriced` parts are those that no price covers; they are in no cost. What has prices in two currencies is whole in each of them:
    `*_priced_in` are the currencies in which all of it has one. `requests`: those attributed.
    """

    window_start: datetime
    tenant: str
    model: str
    label: str
    requests: int
    energy_j: float
    gpu_s: float
    energy_cost: Mapping[str, Decimal]
    gpu_cost: Mapping[str, Decimal]
    energy_priced_in: frozenset[str]
    gpu_priced_in: frozenset[str]
    unpriced_energy_j: float
    unpriced_gpu_s: float
    simulated: bool
