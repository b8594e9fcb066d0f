"""What a day of an outlook costs, by currency: GPU time and energy at the prices that are set now. Exact decimals from measured floats."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from metering import moments
from metering.capacity.scenario import Outlook, PoolOutlook
from metering.telemetry.energy.tariffs import Tariffs

DAY_H = 24
CENTS = Decimal("0.01")


@dataclass(frozen=True)
class DayCost:
    """`unpriced`: what there is no price for ('GPUs in eu-north-1', 'energy in us-east-1')."""

    gpus: Mapping[str, Decimal]
    energy: Mapping[str, Decimal]
    unpriced: tuple[str, ...]

    @property
    def total(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for amounts in (self.gpus, self.energy):
            for currency, amount in amounts.items():
                found[currency] += amount
        return dict(sorted(found.items()))


def day_cost(outlook: Outlook, tariffs: Tariffs, now: datetime) -> DayCost:
    """GPUs as they stand in the outlook, energy of the mean power of its first week, hour by hour at the price of that hour."""
    at = moments.seconds(now)
    gpus: dict[str, Decimal] = defaultdict(Decimal)
    energy: dict[str, Decimal] = defaultdict(Decimal)
    unpriced: dict[str, None] = {}
    for each in outlook.pools:
        pool = each.pool
        product = pool.products[0] if len(pool.products) == 1 else "*"
        prices = tariffs.per_gpu_hour(product, pool.region, at)
        for currency, price in prices.items():
            gpus[currency] += _decimal(pool.gpus) * DAY_H * price
        hours = [tariffs.per_kwh(pool.region, at, hour) for hour in range(DAY_H)]
        for hour in hours if each.mean_w is not None else ():
            for currency, price in hour.items():
                energy[currency] += _decimal((each.mean_w or 0.0) / 1000) * price
        if not prices:
            unpriced[f"GPUs in {pool.region or 'no region'}"] = None
        if each.mean_w is None or not all(hours):
            unpriced[f"energy in {pool.region or 'no region'}"] = None
    return DayCost(_rounded(gpus), _rounded(energy), tuple(unpriced))


def with_needed(outlook: Outlook) -> Outlook:
    """With as many GPUs as the busiest hour takes, where that is more; the ones added draw what a GPU draws without load."""
    return replace(outlook, pools=tuple(_needed(each) for each in outlook.pools))


def _needed(each: PoolOutlook) -> PoolOutlook:
    more = max(each.needs[0] - each.pool.gpus, 0.0) if each.needs else 0.0
    line = each.pool.watts
    watts = each.mean_w + more * line.base if each.mean_w is not None and line is not None else each.mean_w
    return replace(each, pool=replace(each.pool, gpus=each.pool.gpus + more), mean_w=watts)


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")


def _rounded(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {currency: amount.quantize(CENTS) for currency, amount in sorted(amounts.items())}
