"""Standard rates of value added tax by country, and which of them holds on a day.

Sources: European Commission, Taxes in Europe Database, for the EU's members; the tax authorities of the others. As of November 2026;
of rates that changed since September 2024, the earlier ones too. Standard rates alone, since an inference service has no reduced one.
A country that is not here, or a rate that changes: `set_tax_rate`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

ALWAYS = date(1970, 1, 1)


@dataclass(frozen=True)
class CountryRate:
    """`rate`: 0.19 for 19 %, from a day on. `country`: ISO 3166-1 alpha-2."""

    country: str
    rate: Decimal
    name: str
    effective_from: date


def _rates(name: str, **percents: str) -> list[CountryRate]:
    return [CountryRate(country, Decimal(percent) / 100, name, ALWAYS) for country, percent in percents.items()]


def _changed(country: str, percent: str, effective_from: date) -> CountryRate:
    return CountryRate(country, Decimal(percent) / 100, "VAT", effective_from)


# Greece is GR here; EL stands in front of its VAT numbers only.
_EU = _rates(
    "VAT",
    AT="20", BE="21", BG="20", CY="19", CZ="21", DE="19", DK="25", EE="22", ES="21",
    FI="24", FR="20", GR="24", HR="25", HU="27", IE="23", IT="22", LT="21", LU="17",
    LV="21", MT="18", NL="21", PL="23", PT="23", RO="19", SE="25", SI="22", SK="20",
)  # fmt: skip
EU = frozenset(rate.country for rate in _EU)
STANDARD_RATES: tuple[CountryRate, ...] = (
    *_EU,
    _changed("FI", "25.5", date(2024, 9, 1)),
    _changed("SK", "23", date(2025, 1, 1)),
    _changed("EE", "24", date(2025, 7, 1)),
    _changed("RO", "21", date(2025, 8, 1)),
    *_rates("VAT", GB="20", CH="7.7", LI="7.7", NO="25", IS="24", ZA="15", AE="5", SA="15", KR="10"),
    _changed("CH", "8.1", date(2024, 1, 1)),
    _changed("LI", "8.1", date(2024, 1, 1)),
    *_rates("GST", AU="10", NZ="15", SG="9", IN="18"),
    *_rates("Consumption tax", JP="10"),
)


def standard_rate(country: str, on: date, rates: Iterable[CountryRate] = ()) -> CountryRate | None:
    """`rates`: what was set here; from the first row of the country on it holds, before that the shipped table. Of two of a day the later
    in order holds. None: none is known.
    """
    for table in (rates, STANDARD_RATES):
        held = [rate for rate in table if rate.country == country and rate.effective_from <= on]
        if held:
            return max(reversed(held), key=lambda rate: rate.effective_from)  # of equals, `max` takes the first
    return None
