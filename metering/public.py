"""The only way into this package for billing and dashboard. What is not named here is not theirs to use."""

from metering.accounts import MembershipInfo, TenantExists, create_tenant, membership_of, tenant, tenants
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ingest.spool import SpoolFull
from metering.ingest_health import HostHealth, IngestHealth, SealHealth, StoreHealth, ingest_health
from metering.keys import AuthenticationFailed, PermissionRefused, authenticate, issue_key, require, revoke_key
from metering.ledger import (
    HoldingHost,
    SealBusy,
    SealOutcome,
    holding_hosts,
    latest_seal,
    seal_info,
)
from metering.live import (
    LiveCounts,
    LiveGroup,
    LivePoint,
    LiveScope,
    Quantiles,
    live_breakdown,
    live_day,
    live_pulse,
    live_recent,
    live_series,
    models_seen,
    newest_arrival,
    newest_hour,
)
from metering.management.base import StackCommand
from metering.problems import problem
from metering.quarantine.bulk import MOST_AT_ONCE as QUARANTINE_MOST_AT_ONCE
from metering.quarantine.bulk import BulkOutcome
from metering.quarantine.bulk import discard_matching as quarantine_discard_matching
from metering.quarantine.bulk import replay_matching as quarantine_replay_matching
from metering.quarantine.conflicts import Conflict
from metering.quarantine.conflicts import conflict as quarantine_conflict
from metering.quarantine.counting import EntryCounts
from metering.quarantine.counting import counts as quarantine_counts
from metering.quarantine.decisions import AlreadyDecided
from metering.quarantine.decisions import discard as quarantine_discard
from metering.quarantine.decisions import replay as quarantine_replay
from metering.quarantine.entries import EntryPage, QuarantineEntry
from metering.quarantine.entries import entries as quarantine_entries
from metering.quarantine.entries import entry as quarantine_entry
from metering.quarantine.filters import EntryFilter, UnknownFilter
from metering.quarantine.filters import cursor as quarantine_cursor
from metering.quarantine.filters import position as quarantine_position
from metering.quarantine.preparing import ReplayRefused
from metering.quarantine.rendering import Rendering
from metering.quarantine.rendering import rendered as quarantine_rendered
from metering.sealing import SealHeld, seal_everything_before, seal_usage
from metering.usage import LedgerDifference, current_usage, ledger_differences, raw_usage, sealed_usage

__all__ = [
    "QUARANTINE_MOST_AT_ONCE",
    "AlreadyDecided",
    "AuthenticationFailed",
    "BulkOutcome",
    "ClickHouseRefused",
    "ClickHouseUnavailable",
    "Conflict",
    "EntryCounts",
    "EntryFilter",
    "EntryPage",
    "HoldingHost",
    "HostHealth",
    "IngestHealth",
    "LedgerDifference",
    "LiveCounts",
    "LiveGroup",
    "LivePoint",
    "LiveScope",
    "MembershipInfo",
    "PermissionRefused",
    "Quantiles",
    "QuarantineEntry",
    "Rendering",
    "ReplayRefused",
    "SealBusy",
    "SealHealth",
    "SealHeld",
    "SealOutcome",
    "SpoolFull",
    "StackCommand",
    "StoreHealth",
    "TenantExists",
    "UnknownFilter",
    "authenticate",
    "create_tenant",
    "current_usage",
    "holding_hosts",
    "ingest_health",
    "issue_key",
    "latest_seal",
    "ledger_differences",
    "live_breakdown",
    "live_day",
    "live_pulse",
    "live_recent",
    "live_series",
    "membership_of",
    "models_seen",
    "newest_arrival",
    "newest_hour",
    "problem",
    "quarantine_conflict",
    "quarantine_counts",
    "quarantine_cursor",
    "quarantine_discard",
    "quarantine_discard_matching",
    "quarantine_entries",
    "quarantine_entry",
    "quarantine_position",
    "quarantine_rendered",
    "quarantine_replay",
    "quarantine_replay_matching",
    "raw_usage",
    "require",
    "revoke_key",
    "seal_everything_before",
    "seal_info",
    "seal_usage",
    "sealed_usage",
    "tenant",
    "tenants",
]
