"""A provider for the capacity page: three models in two clusters, 70 days of demand, five days of telemetry."""

from datetime import UTC, datetime, timedelta
from typing import Any

from metering.capacity import storing, working
from metering.live import LiveScope
from metering.models import DemandForecast, FleetCapacity
from tests.metering.capacity.rows import insert_demand, insert_pool, weekly
from tests.metering.rows import empty_tables

HOUR = timedelta(hours=1)
TABLES = ("service_hour", "saturation_minute", "engine_minute", "energy_windows", "gpu_minute")
# Model, region, GPUs, load of its KV cache at the mean hour, growth a week.
MODELS = (("llama-70b", "eu", 8, 0.45, 0.06), ("qwen-235b", "us", 16, 0.3, 0.02), ("bge-m3", "eu", 1, 0.1, 0.0))
DEMAND_DAYS, TELEMETRY_DAYS = 70, 5


def forget() -> None:
    empty_tables(*TABLES)
    DemandForecast.objects.all().delete()
    FleetCapacity.objects.all().delete()


def provide(now: datetime, days: int = DEMAND_DAYS, telemetry_days: float = TELEMETRY_DAYS) -> None:
    """Rows up to the last whole hour, and what a worker makes of them."""
    until = last_hour(now)
    for seed, (model, region, gpus, level, growth) in enumerate(MODELS):
        load = level * weekly(days * 24, 1.0, growth, seed=seed) / (1 + growth) ** (days / 7)
        place = {"region": region, "cluster": f"{region}-a"}
        insert_demand(model, until - days * 24 * HOUR, load * 2000 * gpus * 3600, load * 500 * gpus * 3600, **place)
        recent = load[-int(telemetry_days * 24) :]
        if telemetry_days:
            insert_pool(model, until - len(recent) * HOUR, recent, node=f"node-{model}", gpus=gpus, seed=seed, **place)
    work_out(now)


_kept: list[tuple[LiveScope | None, Any]] = []  # what was worked out of the usual provider: once, for it takes seconds


def provide_usual(moment: datetime) -> None:
    """As `provide`, but only who comes first finds the rows in ClickHouse."""
    if not _kept:
        provide(moment)
        _kept.append((None, FleetCapacity.objects.get().found))
        for row in DemandForecast.objects.all():
            named = {name: getattr(row, name) or None for name in storing.SCOPE}
            _kept.append((LiveScope(**named), row.found))
        return
    for scope, found in _kept:
        if scope is None:
            FleetCapacity.objects.create(name=storing.POOLS, asked_at=moment, made_at=moment, found=found)
        else:
            storing.keep_demand(scope, moment, found)


def work_out(now: datetime) -> None:
    working.fleet(now, _quiet)
    for scope in (LiveScope(), *(LiveScope(model=model, region=region) for model, region, *_ in MODELS)):
        working.demand(scope, now, _quiet)


def last_hour(now: datetime) -> datetime:
    """The end of the last one that is counted as whole."""
    return (now - working.SETTLES).replace(minute=0, second=0, microsecond=0)


def now() -> datetime:
    return datetime.now(UTC)


def _quiet(text: str) -> None:
    pass
