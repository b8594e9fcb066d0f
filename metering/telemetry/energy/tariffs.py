"""What energy and GPU time cost where and when, and the CO2 of a kWh: pure, in exact decimals.

Of several rows that apply, the one that says more about where comes first: a region before '*', a GPU before '*', then the one for
fewer hours of the day; of these the latest. Currencies stand side by side: nothing is converted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

ANY = "*"
HOURS = 24
# Of a kWh and of a GPU-hour by currency, and the grams of CO2 of a kWh.
Prices = tuple[dict[str, Decimal], dict[str, Decimal], Decimal | None]


@dataclass(frozen=True)
class KwhPrice:
    """In the hours of the day from `from_hour` to before `to_hour`, UTC; across midnight where it is not the smaller."""

    region: str
    from_hour: int
    to_hour: int
    per_kwh: Decimal
    currency: str
    from_s: int  # epoch seconds, on a whole hour

    @property
    def hours(self) -> int:
        return (self.to_hour - self.from_hour - 1) % HOURS + 1

    def holds_at(self, hour: int) -> bool:
        return (hour - self.from_hour) % HOURS < self.hours


@dataclass(frozen=True)
class Intensity:
    region: str
    g_per_kwh: Decimal
    from_s: int


@dataclass(frozen=True)
class GpuHourPrice:
    product: str
    region: str
    per_gpu_hour: Decimal
    currency: str
    from_s: int


@dataclass(frozen=True)
class Tariffs:
    """Rows in the order in which they were added."""

    kwh: tuple[KwhPrice, ...] = ()
    carbon: tuple[Intensity, ...] = ()
    gpu: tuple[GpuHourPrice, ...] = ()

    def edges_s(self) -> tuple[int, ...]:
        """The moments at which something changes, the beginning of time first: between two of them every hour of the day has one price."""
        return tuple(sorted({0, *(row.from_s for rows in (self.kwh, self.carbon, self.gpu) for row in rows)}))

    def bands(self) -> tuple[int, ...]:
        """The hours of the day at which some price begins or ends, 0 first: between two of them it does not matter which hour it is."""
        partial = (row for row in self.kwh if row.hours < HOURS)
        return tuple(sorted({0, *(hour % HOURS for row in partial for hour in (row.from_hour, row.to_hour))}))

    def per_kwh(self, region: str, at_s: int, hour: int) -> dict[str, Decimal]:
        """By currency; nothing for a region that has no price."""
        return _best(
            (row.currency, (row.region != ANY, -row.hours, row.from_s), row.per_kwh)
            for row in self.kwh
            if row.holds_at(hour) and row.region in {region, ANY} and row.from_s <= at_s
        )

    def g_per_kwh(self, region: str, at_s: int) -> Decimal | None:
        found = _best(
            ("", (row.region != ANY, 0, row.from_s), row.g_per_kwh)
            for row in self.carbon
            if row.region in {region, ANY} and row.from_s <= at_s
        )
        return found.get("")

    def per_gpu_hour(self, product: str, region: str, at_s: int) -> dict[str, Decimal]:
        """By currency."""
        return _best(
            (row.currency, (row.product != ANY, row.region != ANY, row.from_s), row.per_gpu_hour)
            for row in self.gpu
            if row.product in {product, ANY} and row.region in {region, ANY} and row.from_s <= at_s
        )


class PriceList:
    """Prices as they are asked for again and again."""

    def __init__(self, tariffs: Tariffs) -> None:
        self.tariffs = tariffs
        self._held: dict[tuple[str, str, int, int], Prices] = {}

    def of(self, region: str, product: str, at_s: int, hour: int) -> Prices:
        key = (region, product, at_s, hour)
        if key not in self._held:
            book = self.tariffs
            self._held[key] = (
                book.per_kwh(region, at_s, hour),
                book.per_gpu_hour(product, region, at_s),
                book.g_per_kwh(region, at_s),
            )
        return self._held[key]


def _best(rows: Iterable[tuple[str, tuple[int, int, int], Decimal]]) -> dict[str, Decimal]:
    """By key, the amount of the highest rank; of equal ones the last that was added."""
    found: dict[str, tuple[tuple[int, int, int], Decimal]] = {}
    for key, rank, amount in rows:
        if key not in found or rank >= found[key][0]:
            found[key] = (rank, amount)
    return {key: amount for key, (_, amount) in sorted(found.items())}
