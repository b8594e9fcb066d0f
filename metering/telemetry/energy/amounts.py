"""The energy and GPU time of one row of a report, with what they cost: exact decimals, added up in any order to the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from metering.telemetry.energy.tariffs import PriceList

# Decimal's default context rounds to 28 digits without a word; here an operation that would lose a digit raises.
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped])
NANO = Decimal("1e-9")
JOULES_PER_KWH = 3_600_000
SECONDS_PER_HOUR = 3600
ZERO = Decimal(0)


@dataclass(frozen=True)
class Amounts:
    """`*_cost` by currency. What has no price in any currency, or no CO2 intensity, is in `unpriced_*` and `co2_unknown_kwh` alone."""

    requests: int = 0
    prefill_tokens: float = 0.0
    decode_tokens: float = 0.0
    kwh: Decimal = ZERO
    gpu_hours: Decimal = ZERO
    energy_cost: Mapping[str, Decimal] = field(default_factory=dict)
    gpu_cost: Mapping[str, Decimal] = field(default_factory=dict)
    unpriced_kwh: Decimal = ZERO
    unpriced_gpu_hours: Decimal = ZERO
    co2_g: Decimal = ZERO
    co2_unknown_kwh: Decimal = ZERO
    simulated: bool = False

    @property
    def joules(self) -> Decimal:
        return EXACT.multiply(self.kwh, Decimal(JOULES_PER_KWH))

    @property
    def gpu_s(self) -> Decimal:
        return EXACT.multiply(self.gpu_hours, Decimal(SECONDS_PER_HOUR))

    @property
    def joules_per_output_token(self) -> float | None:
        """None without output."""
        return float(self.joules) / self.decode_tokens if self.decode_tokens > 0 else None


@dataclass(frozen=True)
class Used:
    """What was used under one set of prices: where and when, and nano-kWh and nano-GPU-hours."""

    region: str
    product: str
    since_s: int
    hour: int
    nano_kwh: int
    nano_gpu_hours: int


def priced(used: Used, prices: PriceList, *, requests: int, tokens: tuple[float, float], simulated: bool) -> Amounts:
    """`tokens`: prompt tokens computed, and output."""
    kwh = EXACT.multiply(Decimal(used.nano_kwh), NANO)
    hours = EXACT.multiply(Decimal(used.nano_gpu_hours), NANO)
    per_kwh, per_hour, grams = prices.of(used.region, used.product, used.since_s, used.hour)
    return Amounts(
        requests=requests,
        prefill_tokens=tokens[0],
        decode_tokens=tokens[1],
        kwh=kwh,
        gpu_hours=hours,
        energy_cost={currency: EXACT.multiply(kwh, price) for currency, price in per_kwh.items()},
        gpu_cost={currency: EXACT.multiply(hours, price) for currency, price in per_hour.items()},
        unpriced_kwh=ZERO if per_kwh else kwh,
        unpriced_gpu_hours=ZERO if per_hour else hours,
        co2_g=ZERO if grams is None else EXACT.multiply(kwh, grams),
        co2_unknown_kwh=kwh if grams is None else ZERO,
        simulated=simulated,
    )


def total(rows: Iterable[Amounts]) -> Amounts:
    found = list(rows)
    if len(found) == 1:
        return found[0]
    return Amounts(
        requests=sum(row.requests for row in found),
        prefill_tokens=sum(row.prefill_tokens for row in found),
        decode_tokens=sum(row.decode_tokens for row in found),
        kwh=_sum(row.kwh for row in found),
        gpu_hours=_sum(row.gpu_hours for row in found),
        energy_cost=_by_currency(row.energy_cost for row in found),
        gpu_cost=_by_currency(row.gpu_cost for row in found),
        unpriced_kwh=_sum(row.unpriced_kwh for row in found),
        unpriced_gpu_hours=_sum(row.unpriced_gpu_hours for row in found),
        co2_g=_sum(row.co2_g for row in found),
        co2_unknown_kwh=_sum(row.co2_unknown_kwh for row in found),
        simulated=any(row.simulated for row in found),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def _by_currency(costs: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for cost in costs:
        for currency, amount in cost.items():
            found[currency] = EXACT.add(found.get(currency, ZERO), amount)
    return dict(sorted(found.items()))
