"""Prices of energy and GPU time and the CO2 of a kWh in PostgreSQL: adding rows, and reading all of them. No row is ever changed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from metering import moments
from metering.models import CarbonIntensity, EnergyPrice, GpuPrice
from metering.telemetry.energy.tariffs import GpuHourPrice, Intensity, KwhPrice, Tariffs

HOUR = timedelta(hours=1)


class TariffRefused(ValueError):
    """A row that cannot be added, with the reason."""


@dataclass(frozen=True)
class TariffSet:
    """`added` is False if the same was in force already."""

    effective_from: datetime
    added: bool


def tariffs() -> Tariffs:
    """All rows, in the order in which they were added."""
    return Tariffs(
        kwh=tuple(
            KwhPrice(row.region, row.from_hour, row.to_hour, row.per_kwh, row.currency, _start(row))
            for row in EnergyPrice.objects.order_by("id")
        ),
        carbon=tuple(
            Intensity(row.region, row.g_per_kwh, _start(row)) for row in CarbonIntensity.objects.order_by("id")
        ),
        gpu=tuple(
            GpuHourPrice(row.product, row.region, row.per_gpu_hour, row.currency, _start(row))
            for row in GpuPrice.objects.order_by("id")
        ),
    )


def tariffs_state() -> tuple[int, ...]:
    """Changes with every row that is added: how many there are of each kind. Rows are never changed or taken away."""
    return tuple(model.objects.count() for model in (EnergyPrice, CarbonIntensity, GpuPrice))


def set_energy_price(
    *,
    region: str,
    per_kwh: Decimal | str,
    currency: str,
    from_hour: int = 0,
    to_hour: int = 24,
    effective_from: datetime | None = None,
) -> TariffSet:
    """`region` '*': any without a price of its own. Hours of the day are UTC; 22 to 6 is the night. Raises TariffRefused.

    Without `effective_from` the first price of a region, hours and currency holds from the beginning of time, a later one from the next
    hour on. The same for the other two.
    """
    if from_hour == to_hour:
        raise TariffRefused("a price needs an hour to hold in: from and to are the same")
    key = {"region": region, "from_hour": from_hour, "to_hour": to_hour, "currency": currency}
    return _add(EnergyPrice, key, {"per_kwh": _amount(per_kwh)}, effective_from)


def set_carbon_intensity(*, region: str, g_per_kwh: Decimal | str, effective_from: datetime | None = None) -> TariffSet:
    return _add(CarbonIntensity, {"region": region}, {"g_per_kwh": _amount(g_per_kwh)}, effective_from)


def set_gpu_price(
    *,
    product: str,
    region: str,
    per_gpu_hour: Decimal | str,
    currency: str,
    effective_from: datetime | None = None,
) -> TariffSet:
    """`product` as the GPU names itself, or '*'."""
    key = {"product": product, "region": region, "currency": currency}
    return _add(GpuPrice, key, {"per_gpu_hour": _amount(per_gpu_hour)}, effective_from)


def _add(
    model: type[models.Model], key: dict[str, Any], value: dict[str, Decimal], asked: datetime | None
) -> TariffSet:
    if asked is not None and (asked.tzinfo is None or _whole_hour(asked) != asked):
        raise TariffRefused(f"a price begins on a whole hour (UTC), not at {asked.isoformat()}")
    with transaction.atomic():
        held = model._default_manager.filter(**key).order_by("-effective_from", "-id").first()
        if held is not None and asked is None and all(getattr(held, name) == amount for name, amount in value.items()):
            return TariffSet(held.effective_from, added=False)  # type: ignore[attr-defined]
        starts = asked or (moments.EPOCH if held is None else _whole_hour(timezone.now()) + HOUR)
        row = model(**key, **value, effective_from=starts.astimezone(UTC))
        try:
            row.full_clean()
        except ValidationError as error:
            raise TariffRefused(
                "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            ) from None
        row.save()
    return TariffSet(starts, added=True)


def _amount(given: Decimal | str) -> Decimal:
    try:
        found = Decimal(given)
    except InvalidOperation:
        raise TariffRefused(f"{given!r} is not a decimal number") from None
    if not found.is_finite():
        raise TariffRefused(f"{given!r} is not a finite number")
    return found


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _start(row: EnergyPrice | CarbonIntensity | GpuPrice) -> int:
    return moments.seconds(row.effective_from)
