"""What a rule can watch: each measure with its unit, what it can be narrowed to and grouped by, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.alerts.readings import fleet, ingest, objectives, requests
from metering.alerts.readings.asked import HOUR, MINUTE, Read, ReadNow, whole_minute
from metering.telemetry.saturation import CONSTRAINTS

REQUESTS = ("region", "cluster", "model", "tenant", "tier")
ENGINES = ("region", "cluster", "model", "node", "engine")
GPUS = ("region", "cluster", "node")
LEAKS = ("region", "model", "node", "engine")
FIVE_MINUTES = 5 * MINUTE
THRESHOLD, ABSENCE, BURN = "threshold", "absence", "burn"


@dataclass(frozen=True)
class Measure:
    """`read` gives the values of each step of a range by group, `now` those of this moment; where only the latter is there, what
    evaluations saw is kept as its history. `step`: over how long a value is taken. `reach`: up to when there are values; of its last
    `steps` the newest value counts. `counts`: a group that is not there has 0. `kinds`: of rules that can watch it.
    """

    key: str
    label: str
    unit: str
    section: str
    dimensions: tuple[str, ...] = ()
    step: timedelta = MINUTE
    read: Read | None = None
    now: ReadNow | None = None
    factor: float = 1.0  # from what is stored to what is written: 100 for shares in per cent
    reach: Callable[[datetime], datetime] = whole_minute
    steps: int = 1
    counts: bool = False
    kinds: tuple[str, ...] = (THRESHOLD, ABSENCE)


def _of_requests(key: str, label: str, unit: str, read: Read, *, factor: float = 1.0, counts: bool = False) -> Measure:
    """A rate is of the last minute; a ratio or a percentile of five, so that it does not jump."""
    step = MINUTE if counts else FIVE_MINUTES
    return Measure(key, label, unit, "Requests", REQUESTS, step, read, factor=factor, counts=counts)


def _of_engines(key: str, label: str, unit: str, read: Read, *, factor: float = 1.0) -> Measure:
    """Of the newest of the last minutes that are worked up."""
    reach = fleet.worked_up
    return Measure(key, label, unit, "Engines", ENGINES, MINUTE, read, factor=factor, reach=reach, steps=3)


def _of_gpus(key: str, label: str, unit: str, read: Read, *, factor: float = 1.0) -> Measure:
    reach = fleet.worked_up
    return Measure(key, label, unit, "GPUs and power", GPUS, MINUTE, read, factor=factor, reach=reach, steps=3)


LATENCIES = {"ttft": "Time to first token", "tpot": "Time per output token", "e2e": "End to end"}
_REQUESTS = (
    _of_requests("requests_per_s", "Requests", "/ s", requests.rate(lambda one: one.requests), counts=True),
    _of_requests(
        "tokens_per_s",
        "Tokens, input and output",
        "/ s",
        requests.rate(lambda one: one.input_tokens + one.output_tokens),
        counts=True,
    ),
    _of_requests("input_tokens_per_s", "Input tokens", "/ s", requests.rate(lambda one: one.input_tokens), counts=True),
    _of_requests(
        "output_tokens_per_s", "Output tokens", "/ s", requests.rate(lambda one: one.output_tokens), counts=True
    ),
    _of_requests("error_ratio", "Errors of requests", "%", requests.share(lambda one: one.error), factor=100),
    _of_requests(
        "cancelled_ratio", "Cancelled of requests", "%", requests.share(lambda one: one.cancelled), factor=100
    ),
    *(
        _of_requests(f"{name}_{level}_ms", f"{label}, {level}", "ms", requests.latency(f"{name}_ms", level))
        for name, label in LATENCIES.items()
        for level in ("p50", "p90", "p95", "p99")
    ),
)
_ENGINES = (
    _of_engines("saturation", "Saturation score, highest", "of 1", fleet.of_saturation(lambda one: one.highest)),
    _of_engines("bound_share", "GPUs at any limit", "%", fleet.of_saturation(lambda one: one.bound_share), factor=100),
    *(
        _of_engines(f"bound_{one}", f"GPUs bound by {one.replace('_', ' ')}", "%", fleet.bound_by(one), factor=100)
        for one in CONSTRAINTS
    ),
    _of_engines("kv_cache", "KV cache in use, mean", "%", fleet.of_engines(lambda one: one.kv_cache_usage), factor=100),
    _of_engines("running", "Requests running", "requests", fleet.of_engines(lambda one: one.running)),
    _of_engines("waiting", "Requests waiting", "requests", fleet.of_engines(lambda one: one.waiting)),
    _of_engines("preemptions", "Preemptions", "/ min", fleet.per_minute("preemptions", fleet.of_engines)),
    _of_engines("prefix_hits", "Prefix cache hits", "%", fleet.of_engines(lambda one: one.prefix_hit_rate), factor=100),
    _of_engines("engine_up", "Engines that answer", "%", fleet.of_engines(lambda one: one.up_share), factor=100),
    Measure(
        "engines_down",
        "Engines down or gone",
        "engines",
        "Engines",
        ENGINES[:-1],
        now=fleet.engines_down,
        kinds=(THRESHOLD,),
    ),
)
_GPUS = (
    _of_gpus("power_w", "Power of GPUs", "W", fleet.of_gpus(lambda one: one.power_w)),
    _of_gpus("power_share", "Power of the GPUs' limits", "%", fleet.of_gpus(fleet.power_share), factor=100),
    Measure(
        "cap_share",
        "Power of the cluster's cap",
        "%",
        "GPUs and power",
        ("cluster",),
        MINUTE,
        fleet.cap_share,
        factor=100,
        reach=fleet.worked_up,
        steps=3,
    ),
    _of_gpus("temperature_c", "Hottest GPU", "°C", fleet.of_gpus(lambda one: one.temperature_c)),
    _of_gpus("throttled_share", "GPU time throttled", "%", fleet.of_gpus(lambda one: one.throttled_share), factor=100),
    _of_gpus("xid_errors", "XID errors", "/ min", fleet.per_minute("xid_errors", fleet.of_gpus)),
    Measure("gpus_gone", "GPUs silent", "GPUs", "GPUs and power", GPUS, now=fleet.gpus_gone, kinds=(THRESHOLD,)),
    Measure(
        "joules_per_token",
        "Energy per output token, by the hour",
        "J",
        "GPUs and power",
        REQUESTS,
        HOUR,
        requests.joules_per_token,
        reach=fleet.settled_hour,
    ),
)
_INTAKE = (
    Measure("event_age_s", "Age of the newest event", "s", "Intake", now=ingest.event_age_s),
    Measure("freshness_s", "Receipt to queryable, p95", "s", "Intake", now=ingest.freshness_s),
    Measure("rejected_share", "Events rejected", "%", "Intake", now=ingest.rejected_share, factor=100),
    Measure("spool_bytes", "Events waiting in the spool", "bytes", "Intake", ("host",), now=ingest.spool_bytes),
    Measure("spool_fill", "Spool in use", "%", "Intake", ("host",), now=ingest.spool_fill, factor=100),
    Measure("hosts_silent", "Intake hosts silent", "hosts", "Intake", ("host",), now=ingest.hosts_silent),
    Measure("seal_age_s", "Age of the last seal's watermark", "s", "Intake", now=ingest.seal_age_s),
    Measure(
        "leakage_share",
        "Tokens that no event accounts for, by the hour",
        "%",
        "Intake",
        LEAKS,
        HOUR,
        fleet.leakage_share,
        factor=100,
        reach=fleet.settled_hour,
    ),
    Measure("servers_down", "Databases that do not answer", "servers", "Intake", ("server",), now=ingest.servers_down),
    Measure("rules_unread", "Rules that cannot be read", "rules", "Intake", now=ingest.rules_unread),
)
_OBJECTIVES = (
    Measure(
        "budget_burn",
        "Burn of an objective's error budget",
        "x",
        "Objectives",
        ("objective",),
        FIVE_MINUTES,
        objectives.burn_history,
        objectives.burn_now,
        kinds=(BURN,),
    ),
    Measure("budget_left", "Error budget left", "%", "Objectives", ("objective",), now=objectives.left_now, factor=100),
)
CATALOGUE: Mapping[str, Measure] = {one.key: one for one in (*_REQUESTS, *_OBJECTIVES, *_ENGINES, *_GPUS, *_INTAKE)}


def measure(key: str) -> Measure:
    """Raises ValueError for one that there is not."""
    if key not in CATALOGUE:
        raise ValueError(f"unknown measure {key!r}: one of {', '.join(CATALOGUE)}")
    return CATALOGUE[key]
