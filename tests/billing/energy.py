"""Hours of energy, put there directly, and what energy and GPUs cost."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from metering import public as metering
from metering.clickhouse import client
from metering.models import TelemetryProgress

NANO = 10**9
USED = {"input_tokens": 10_000_000, "output_tokens": 10_000_000}  # of model m: 1.50 and 6.00 USD


def attributed(at: datetime, tenant: str, *, kwh: str, gpu_hours: str, **columns: Any) -> None:
    """What a tenant's requests took in an hour, by default one request to model m, on an H100 in region eu."""
    attributed_hours([at], tenant, kwh=kwh, gpu_hours=gpu_hours, **columns)


def attributed_hours(hours: Iterable[datetime], tenant: str, *, kwh: str, gpu_hours: str, **columns: Any) -> None:
    """The same in each of them."""
    place = {"node": "n1", "engine": "e1", "model": "m", "tier": "standard", "region": "eu", "product": "H100"}
    usual = {"tenant": tenant, "requests": 1, "simulated": False, "version": 1}
    used = {"energy_nkwh": int(Decimal(kwh) * NANO), "gpu_nh": int(Decimal(gpu_hours) * NANO)}
    _insert("energy_attributed_hours", hours, place | usual | used | columns)


def nobodys(at: datetime, **columns: Any) -> None:
    """What was nobody's: `idle_nkwh="0.5"`, `gap_gpu_nh="1"` and so on, in kWh and GPU-hours."""
    nobodys_hours([at], **columns)


def nobodys_hours(hours: Iterable[datetime], **columns: Any) -> None:
    """The same in each of them."""
    place = {"node": "n1", "engine": "e1", "model": "m", "region": "eu", "product": "H100"}
    amounts = {
        name: int(Decimal(value) * NANO) if name.endswith(("nh", "nkwh")) else value for name, value in columns.items()
    }
    _insert("energy_hours", hours, place | {"simulated": False, "version": 1} | amounts)


def energy_costs_from_now_on(per_kwh: str = "0.20", per_gpu_hour: str = "2.50", currency: str = "USD") -> None:
    metering.energy_set_price(region="*", per_kwh=per_kwh, currency=currency)
    metering.energy_set_gpu_price(product="*", region="*", per_gpu_hour=per_gpu_hour, currency=currency)


def settle(until: datetime) -> None:
    fields = {"watermark": until, "closed_until": until, "due": []}
    TelemetryProgress.objects.update_or_create(name="energy", defaults=fields)


def _insert(table: str, hours: Iterable[datetime], row: dict[str, Any]) -> None:
    times = list(hours)
    client.insert("test_energy", table, ["hour", *row], [times, *([value] * len(times) for value in row.values())])
