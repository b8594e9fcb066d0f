"""The only way into this package for billing and dashboard. What is not named here is not theirs to use."""

from metering.accounts import (
    MembershipInfo,
    TenantExists,
    create_tenant,
    membership_of,
    tenant,
    tenant_names,
    tenants,
    tenants_first,
    tenants_found,
    tenants_named,
)
from metering.alerts import board as alert_board
from metering.alerts import desk as alert_desk
from metering.alerts.board import OpenAlert, open_alerts
from metering.alerts.board import RuleInfo as AlertRuleInfo
from metering.alerts.catalogue import CATALOGUE as ALERT_MEASURES
from metering.alerts.desk import AlertRefused
from metering.annotations import KINDS as ANNOTATION_KINDS
from metering.annotations import AnnotationInfo, AnnotationRefused, annotate, annotations
from metering.annotations import withdraw as withdraw_annotation
from metering.capacity.backtest import HORIZON_DAYS as FORECAST_JUDGED_DAYS
from metering.capacity.backtest import Score as ForecastScore
from metering.capacity.costs import DayCost
from metering.capacity.fleet import Fleet as CapacityFleet
from metering.capacity.fleet import Pool as CapacityPool
from metering.capacity.fleet import Site as CapacitySite
from metering.capacity.forecast import LEAST_H as FORECAST_LEAST_H
from metering.capacity.forecast import WEEKLY_FROM_H as FORECAST_WEEKLY_FROM_H
from metering.capacity.forecast import Forecast
from metering.capacity.limits import Limit as CapacityLimit
from metering.capacity.scenario import SITE_POWER as CAPACITY_SITE_POWER
from metering.capacity.scenario import Change as CapacityChange
from metering.capacity.scenario import Outlook as CapacityOutlook
from metering.capacity.scenario import PoolOutlook, Reached, SiteOutlook
from metering.capacity.scenario import Use as CapacityUse
from metering.capacity.service import capacity_costs, capacity_outlook
from metering.capacity.storing import DemandOutlook, FleetOutlook, demand_outlook, fleet_outlook
from metering.capacity.storing import Measured as MeasuredDemand
from metering.causes.caps import CapChange
from metering.causes.latencies import LatencyShift
from metering.causes.loads import LoadShift, load_shifts
from metering.causes.neighbours import Neighbour, noisy_neighbours
from metering.causes.presence import Lost, Presence
from metering.causes.reading import Causes, ModelLoad, causes
from metering.causes.traffic import ErrorShift, Silence
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.demo.clock import demo_behind
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
    live_group_series,
    live_pulse,
    live_recent,
    live_series,
    live_totals,
    models_seen,
    names_seen,
    newest_arrival,
    newest_hour,
    token_record,
)
from metering.live_histograms import HISTOGRAM_EDGES, HistogramPoint, live_histogram
from metering.management.base import StackCommand
from metering.meter_totals import MeterTotal, UnknownMeter, meter_totals
from metering.meters import MeterInfo
from metering.meters import find as find_meter
from metering.moments import instant
from metering.months_used import months_used
from metering.named_requests import RequestInfo, request_named
from metering.objectives.definitions import MEASURES as OBJECTIVE_MEASURES
from metering.objectives.definitions import (
    ObjectiveInfo,
    ObjectiveRefused,
    objectives,
    remove_objective,
    set_objective,
)
from metering.objectives.states import (
    BURN_RULES,
    BURN_WINDOWS,
    BurnRule,
    ObjectiveState,
    ObjectiveStep,
    Tally,
    objective_states,
    objective_steps,
    objectives_steps,
)
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
from metering.slow_requests import RequestStory, SlowRequest, request_story, slow_requests
from metering.telemetry.energy.amounts import Amounts as EnergyAmounts
from metering.telemetry.energy.amounts import total as energy_total
from metering.telemetry.energy.conservation import Conservation as EnergyConservation
from metering.telemetry.energy.conservation import energy_conservation
from metering.telemetry.energy.health import CoefficientsInfo, EnergyHealth, energy_health
from metering.telemetry.energy.prices import TariffRefused, TariffSet
from metering.telemetry.energy.prices import set_carbon_intensity as energy_set_carbon_intensity
from metering.telemetry.energy.prices import set_energy_price as energy_set_price
from metering.telemetry.energy.prices import set_gpu_price as energy_set_gpu_price
from metering.telemetry.energy.prices import tariffs_state as energy_tariffs_state
from metering.telemetry.energy.report import GROUPS as ENERGY_GROUPS
from metering.telemetry.energy.report import LABELS as ENERGY_LABELS
from metering.telemetry.energy.report import OTHERS as ENERGY_OTHERS
from metering.telemetry.energy.report import (
    EnergyPoint,
    EnergyReport,
    EnergyRow,
    energy_costs,
    energy_report,
    energy_report_asked,
    energy_series,
    energy_series_asked,
)
from metering.telemetry.energy.shifting import ClusterPower, ShiftPlan, ShiftStep, Workload, clusters_now, power_shift
from metering.telemetry.fleet import GoneGpu, GpuState, fleet_engines, fleet_gpus, fleet_gpus_gone
from metering.telemetry.fleet_history import (
    EnginePoint,
    FleetRange,
    GpuPoint,
    SaturationPoint,
    engines_on_gpu,
    saturation_series,
)
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
    leakage_report_asked,
    leakage_state,
    leakage_trend_asked,
)
from metering.telemetry.saturation import CONSTRAINTS as SATURATION_CONSTRAINTS
from metering.telemetry.saturation import Points as SaturationPoints
from metering.telemetry.saturation import Saturation
from metering.telemetry.saturation_scopes import BoundShare, EngineState, ScopeState
from metering.telemetry.saturation_scopes import scopes as fleet_scopes
from metering.telemetry.saturation_trend import Headroom
from metering.telemetry.settings import saturation_points
from metering.telemetry.settled import Settled, energy_settled
from metering.tenant_usage import (
    TenantLatency,
    TenantPart,
    TenantStep,
    TenantUsage,
    TenantWindow,
    tenant_latencies,
    tenant_parts,
    tenant_steps,
    tenant_usage,
)
from metering.usage import LedgerDifference, current_usage, ledger_differences, pieces, raw_usage, sealed_usage

__all__ = [
    "ALERT_MEASURES",
    "ALL_MODELS",
    "ANNOTATION_KINDS",
    "BURN_RULES",
    "BURN_WINDOWS",
    "CAPACITY_SITE_POWER",
    "ENERGY_GROUPS",
    "ENERGY_LABELS",
    "ENERGY_OTHERS",
    "FORECAST_JUDGED_DAYS",
    "FORECAST_LEAST_H",
    "FORECAST_WEEKLY_FROM_H",
    "HISTOGRAM_EDGES",
    "OBJECTIVE_MEASURES",
    "QUARANTINE_MOST_AT_ONCE",
    "SATURATION_CONSTRAINTS",
    "AlertRefused",
    "AlertRuleInfo",
    "AlreadyDecided",
    "AnnotationInfo",
    "AnnotationRefused",
    "AuthenticationFailed",
    "BoundShare",
    "BulkOutcome",
    "BurnRule",
    "CapChange",
    "CapacityChange",
    "CapacityFleet",
    "CapacityLimit",
    "CapacityOutlook",
    "CapacityPool",
    "CapacitySite",
    "CapacityUse",
    "Causes",
    "ClickHouseRefused",
    "ClickHouseUnavailable",
    "ClusterPower",
    "CoefficientsInfo",
    "Conflict",
    "Counted",
    "DayCost",
    "DemandOutlook",
    "EnergyAmounts",
    "EnergyConservation",
    "EnergyHealth",
    "EnergyPoint",
    "EnergyReport",
    "EnergyRow",
    "EngineHour",
    "EnginePoint",
    "EngineState",
    "EntryCounts",
    "EntryFilter",
    "EntryPage",
    "ErrorShift",
    "FleetOutlook",
    "FleetRange",
    "Forecast",
    "ForecastScore",
    "GoneGpu",
    "GpuPoint",
    "GpuState",
    "Headroom",
    "HistogramPoint",
    "HoldingHost",
    "HostHealth",
    "Incomplete",
    "IngestHealth",
    "LateUsage",
    "LatencyShift",
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
    "LoadShift",
    "Lost",
    "MeasuredDemand",
    "MembershipInfo",
    "MeterInfo",
    "MeterTotal",
    "ModelLoad",
    "Neighbour",
    "ObjectiveInfo",
    "ObjectiveRefused",
    "ObjectiveState",
    "ObjectiveStep",
    "OpenAlert",
    "PermissionRefused",
    "PoolOutlook",
    "Presence",
    "Quantiles",
    "QuarantineEntry",
    "Reached",
    "Rendering",
    "ReplayRefused",
    "RequestInfo",
    "RequestProof",
    "RequestStory",
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
    "ShiftPlan",
    "ShiftStep",
    "Silence",
    "SiteOutlook",
    "SliceRequest",
    "SliceSum",
    "SlowRequest",
    "SpoolFull",
    "StackCommand",
    "StoreHealth",
    "Tally",
    "TariffRefused",
    "TariffSet",
    "TenantExists",
    "TenantLatency",
    "TenantPart",
    "TenantStep",
    "TenantUsage",
    "TenantWindow",
    "UnknownFilter",
    "UnknownMeter",
    "UsageDigest",
    "UsagePart",
    "UsageSlice",
    "Workload",
    "alert_board",
    "alert_desk",
    "annotate",
    "annotations",
    "authenticate",
    "capacity_costs",
    "capacity_outlook",
    "causes",
    "clusters_now",
    "create_tenant",
    "current_usage",
    "demand_outlook",
    "demo_behind",
    "energy_conservation",
    "energy_costs",
    "energy_health",
    "energy_report",
    "energy_report_asked",
    "energy_series",
    "energy_series_asked",
    "energy_set_carbon_intensity",
    "energy_set_gpu_price",
    "energy_set_price",
    "energy_settled",
    "energy_tariffs_state",
    "energy_total",
    "engines_on_gpu",
    "find_meter",
    "fleet_engine_series",
    "fleet_engines",
    "fleet_gpu_series",
    "fleet_gpus",
    "fleet_gpus_gone",
    "fleet_outlook",
    "fleet_scopes",
    "holding_hosts",
    "ingest_health",
    "instant",
    "issue_key",
    "late_usage",
    "latest_seal",
    "leakage_report",
    "leakage_report_asked",
    "leakage_state",
    "leakage_trend_asked",
    "ledger_differences",
    "live_breakdown",
    "live_day",
    "live_group_series",
    "live_histogram",
    "live_pulse",
    "live_recent",
    "live_series",
    "live_totals",
    "load_shifts",
    "membership_of",
    "meter_totals",
    "models_seen",
    "months_used",
    "names_seen",
    "newest_arrival",
    "newest_hour",
    "noisy_neighbours",
    "objective_states",
    "objective_steps",
    "objectives",
    "objectives_steps",
    "open_alerts",
    "pieces",
    "power_shift",
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
    "remove_objective",
    "request_named",
    "request_proof",
    "request_story",
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
    "set_objective",
    "slice_hours",
    "slice_minutes",
    "slice_requests",
    "slow_requests",
    "telemetry_closed_until",
    "tenant",
    "tenant_latencies",
    "tenant_names",
    "tenant_parts",
    "tenant_steps",
    "tenant_usage",
    "tenants",
    "tenants_first",
    "tenants_found",
    "tenants_named",
    "token_record",
    "usage_digests",
    "withdraw_annotation",
]
