"""The only way into this package for billing and dashboard. What is not named here is not theirs to use."""

from metering.accounts import MembershipInfo, TenantExists, create_tenant, membership_of, tenant, tenants
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.drilldown import SliceRequest, SliceSum, UsageSlice, slice_hours, slice_minutes, slice_requests
from metering.ingest.spool import SpoolFull
from metering.ingest_health import HostHealth, IngestHealth, SealHealth, StoreHealth, ingest_health
from metering.keys import AuthenticationFailed, PermissionRefused, authenticate, issue_key, require, revoke_key
from metering.late import LateUsage, late_usage
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
from metering.meter_totals import MeterTotal, UnknownMeter, meter_totals
from metering.meters import MeterInfo
from metering.meters import find as find_meter
from metering.moments import instant
from metering.months_used import months_used
from metering.named_requests import RequestInfo, request_named
from metering.problems import problem
from metering.proofs import Digest as UsageDigest
from metering.proofs import RequestProof, SeveralRequests, UsagePart, request_proof, request_times
from metering.proofs import digests as usage_digests
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
from metering.service import ALL_MODELS, ServiceFigures, service_figures, service_hours
from metering.telemetry.energy.amounts import Amounts as EnergyAmounts
from metering.telemetry.energy.health import CoefficientsInfo, EnergyHealth, energy_health
from metering.telemetry.energy.prices import TariffRefused, TariffSet
from metering.telemetry.energy.prices import set_carbon_intensity as energy_set_carbon_intensity
from metering.telemetry.energy.prices import set_energy_price as energy_set_price
from metering.telemetry.energy.prices import set_gpu_price as energy_set_gpu_price
from metering.telemetry.energy.report import GROUPS as ENERGY_GROUPS
from metering.telemetry.energy.report import LABELS as ENERGY_LABELS
from metering.telemetry.energy.report import EnergyReport, EnergyRow, energy_costs, energy_report
from metering.telemetry.fleet import GpuState, fleet_engines, fleet_gpus
from metering.telemetry.fleet_history import EnginePoint, FleetRange, GpuPoint, SaturationPoint, saturation_series
from metering.telemetry.fleet_history import engine_series as fleet_engine_series
from metering.telemetry.fleet_history import gpu_series as fleet_gpu_series
from metering.telemetry.progress import closed_until as telemetry_closed_until
from metering.telemetry.reconciliation.alerts import LeakageAlert
from metering.telemetry.reconciliation.findings import LeakageFinding
from metering.telemetry.reconciliation.hours import Counted, EngineHour, Incomplete, Leakage
from metering.telemetry.reconciliation.report import (
    LeakageReport,
    LeakageRow,
    LeakageState,
    leakage_report,
    leakage_state,
    leakage_trend,
)
from metering.telemetry.saturation import CONSTRAINTS as SATURATION_CONSTRAINTS
from metering.telemetry.saturation import Points as SaturationPoints
from metering.telemetry.saturation import Saturation
from metering.telemetry.saturation_scopes import BoundShare, EngineState, ScopeState
from metering.telemetry.saturation_scopes import scopes as fleet_scopes
from metering.telemetry.saturation_trend import Headroom
from metering.telemetry.settings import saturation_points
from metering.telemetry.settled import Settled, energy_settled
from metering.usage import LedgerDifference, current_usage, ledger_differences, pieces, raw_usage, sealed_usage

__all__ = [
    "ALL_MODELS",
    "ENERGY_GROUPS",
    "ENERGY_LABELS",
    "QUARANTINE_MOST_AT_ONCE",
    "SATURATION_CONSTRAINTS",
    "AlreadyDecided",
    "AuthenticationFailed",
    "BoundShare",
    "BulkOutcome",
    "ClickHouseRefused",
    "ClickHouseUnavailable",
    "CoefficientsInfo",
    "Conflict",
    "Counted",
    "EnergyAmounts",
    "EnergyHealth",
    "EnergyReport",
    "EnergyRow",
    "EngineHour",
    "EnginePoint",
    "EngineState",
    "EntryCounts",
    "EntryFilter",
    "EntryPage",
    "FleetRange",
    "GpuPoint",
    "GpuState",
    "Headroom",
    "HoldingHost",
    "HostHealth",
    "Incomplete",
    "IngestHealth",
    "LateUsage",
    "Leakage",
    "LeakageAlert",
    "LeakageFinding",
    "LeakageReport",
    "LeakageRow",
    "LeakageState",
    "LedgerDifference",
    "LiveCounts",
    "LiveGroup",
    "LivePoint",
    "LiveScope",
    "MembershipInfo",
    "MeterInfo",
    "MeterTotal",
    "PermissionRefused",
    "Quantiles",
    "QuarantineEntry",
    "Rendering",
    "ReplayRefused",
    "RequestInfo",
    "RequestProof",
    "Saturation",
    "SaturationPoint",
    "SaturationPoints",
    "ScopeState",
    "SealBusy",
    "SealHealth",
    "SealHeld",
    "SealOutcome",
    "ServiceFigures",
    "Settled",
    "SeveralRequests",
    "SliceRequest",
    "SliceSum",
    "SpoolFull",
    "StackCommand",
    "StoreHealth",
    "TariffRefused",
    "TariffSet",
    "TenantExists",
    "UnknownFilter",
    "UnknownMeter",
    "UsageDigest",
    "UsagePart",
    "UsageSlice",
    "authenticate",
    "create_tenant",
    "current_usage",
    "energy_costs",
    "energy_health",
    "energy_report",
    "energy_set_carbon_intensity",
    "energy_set_gpu_price",
    "energy_set_price",
    "energy_settled",
    "find_meter",
    "fleet_engine_series",
    "fleet_engines",
    "fleet_gpu_series",
    "fleet_gpus",
    "fleet_scopes",
    "holding_hosts",
    "ingest_health",
    "instant",
    "issue_key",
    "late_usage",
    "latest_seal",
    "leakage_report",
    "leakage_state",
    "leakage_trend",
    "ledger_differences",
    "live_breakdown",
    "live_day",
    "live_pulse",
    "live_recent",
    "live_series",
    "membership_of",
    "meter_totals",
    "models_seen",
    "months_used",
    "newest_arrival",
    "newest_hour",
    "pieces",
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
    "request_named",
    "request_proof",
    "request_times",
    "require",
    "revoke_key",
    "saturation_points",
    "saturation_series",
    "seal_everything_before",
    "seal_info",
    "seal_usage",
    "sealed_usage",
    "service_figures",
    "service_hours",
    "slice_hours",
    "slice_minutes",
    "slice_requests",
    "telemetry_closed_until",
    "tenant",
    "tenants",
    "usage_digests",
]
