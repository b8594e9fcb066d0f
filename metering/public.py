"""The only way into this package for billing and dashboard. What is not named here is not theirs to use."""

from metering.accounts import MembershipInfo, TenantExists, create_tenant, membership_of, tenant, tenants
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
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
from metering.sealing import SealHeld, seal_everything_before, seal_usage
from metering.usage import LedgerDifference, current_usage, ledger_differences, raw_usage, sealed_usage

__all__ = [
    "AuthenticationFailed",
    "ClickHouseRefused",
    "ClickHouseUnavailable",
    "HoldingHost",
    "LedgerDifference",
    "LiveCounts",
    "LiveGroup",
    "LivePoint",
    "LiveScope",
    "MembershipInfo",
    "PermissionRefused",
    "Quantiles",
    "SealBusy",
    "SealHeld",
    "SealOutcome",
    "StackCommand",
    "TenantExists",
    "authenticate",
    "create_tenant",
    "current_usage",
    "holding_hosts",
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
