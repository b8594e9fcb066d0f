"""A simulated year of hourly demand, made the way demand comes about and not the way the forecaster thinks of it.

Dozens of clients come and go, each with its own rhythm in its own time zone, its own weekends, bursts and sizes of requests (the picture
that ServeGen draws of production traffic: few clients make most of the load, each of them bursty, most of them steady in their rhythm).
On top lie holidays, launches, campaigns, nightly batch jobs and outages. The same seed gives the same year.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

START = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday
DAYS = 365
HOURS = DAYS * 24
ZONES = (-8, -5, -3, 0, 1, 2, 5.5, 8, 9)
ZONE_SHARES = (0.14, 0.2, 0.05, 0.06, 0.25, 0.08, 0.09, 0.07, 0.06)
CLIENTS = 60


@dataclass(frozen=True)
class Year:
    """Tokens and requests of each hour from `start` on."""

    start: datetime
    input_tokens: Floats
    output_tokens: Floats
    requests: Floats


def year(seed: int, *, clients: int = CLIENTS, days: int = DAYS, growth: float = 3.0) -> Year:
    """`growth`: by how much the typical client that stays grows over a year."""
    rng = np.random.Generator(np.random.PCG64([seed, 0xCA9AC]))
    hours = days * 24
    requests, inputs, outputs = np.zeros(hours), np.zeros(hours), np.zeros(hours)
    sizes = 1 / np.arange(1, clients + 1) ** 1.1  # a few clients make most of the load
    outage = _outages(hours, rng)
    for size in sizes / sizes.sum():
        rate = _rate(size * 40_000, hours, growth, rng) * outage
        count = rng.poisson(np.clip(rate, 0, None)).astype(np.float64)
        prompt = np.exp(rng.normal(7.2, 0.8)) * _wander(hours, 0.1, 24 * 30, rng)
        answer = np.exp(rng.normal(5.6, 0.6)) * _wander(hours, 0.06, 24 * 30, rng)
        requests += count
        # The sum of `count` sizes with a coefficient of variation of 1.5: a gamma variable of the same mean and variance.
        inputs += prompt * rng.gamma(np.maximum(count, 1e-9) / 2.25, 2.25)
        outputs += answer * rng.gamma(np.maximum(count, 1e-9) / 2.25, 2.25)
    return Year(START, inputs, outputs, requests)


def _rate(mean: float, hours: int, growth: float, rng: np.random.Generator) -> Floats:
    """Requests an hour of one client."""
    at = np.arange(hours)
    zone = rng.choice(ZONES, p=ZONE_SHARES)
    local = at + zone
    hour, weekday, day = local % 24, (local // 24).astype(int) % 7, (local // 24).astype(int)
    rhythm = _batch(hours, rng) if rng.random() < 0.15 else _people(hour, rng)
    weekend = np.where(weekday >= 5, rng.choice([0.3, 0.6, 0.9, 1.2], p=[0.4, 0.3, 0.2, 0.1]), 1.0)
    weekend = np.where(weekday == 4, weekend * rng.uniform(0.85, 1.0), weekend)
    return mean * rhythm * weekend * _holidays(day, rng) * _life(at, hours, growth, rng) * _wander(hours, 0.12, 20, rng)


def _people(hour: Floats, rng: np.random.Generator) -> Floats:
    """Two humps, before and after lunch, or one in the evening; steeper up than down."""
    first, second = rng.normal(10.5, 0.8), rng.normal(15.5, 1.0)
    if rng.random() < 0.3:
        first, second = rng.normal(13, 1), rng.normal(20.5, 1.0)
    rising = np.clip(1 / (1 + np.exp(-(hour - first + 2.5) * 1.8)), 0, 1)
    humps = np.exp(-(((hour - first) / 2.6) ** 2)) + rng.uniform(0.7, 1.2) * np.exp(-(((hour - second) / 3.2) ** 2))
    return np.asarray(0.12 + rising * humps, dtype=np.float64)


def _batch(hours: int, rng: np.random.Generator) -> Floats:
    """A job that starts at about the same hour on some days, and runs for some hours."""
    load = np.full(hours, 0.03)
    begin, lasts = rng.integers(0, 24), rng.integers(2, 7)
    for day in range(hours // 24):
        if rng.random() < 0.8:
            at = day * 24 + begin + rng.integers(-1, 2)
            load[max(at, 0) : at + lasts + rng.integers(0, 3)] += rng.uniform(2.0, 4.0)
    return load


def _life(at: npt.NDArray[np.int64], hours: int, growth: float, rng: np.random.Generator) -> Floats:
    """Growth along an S or a straight line, launches (a step up or down), an arrival in the middle of the year, a farewell."""
    share = at / hours
    ends = growth ** rng.normal(1.0, 0.7)
    if rng.random() < 0.5:
        middle, steep = rng.uniform(0.2, 0.9), rng.uniform(5, 15)
        level = 1 + (ends - 1) / (1 + np.exp(-steep * (share - middle)))
    else:
        level = 1 + (ends - 1) * share
    for _ in range(rng.poisson(1.0)):
        level = np.where(share > rng.random(), level * np.exp(rng.normal(0.05, 0.3)), level)
    if rng.random() < 0.35:
        level = np.where(share < rng.uniform(0.05, 0.9), 0.0, level)
    if rng.random() < 0.15:
        level = np.where(share > rng.uniform(0.3, 1.0), 0.0, level)
    for _ in range(rng.poisson(1.2)):  # campaigns of some days
        begin = rng.random()
        level = np.where(
            (share > begin) & (share < begin + rng.uniform(1, 6) / 365), level * rng.uniform(1.2, 1.8), level
        )
    return np.asarray(level, dtype=np.float64)


def _holidays(day: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Ten days off of the client's country, and the quiet weeks of August and of the turn of the year."""
    off = rng.choice(365, size=10, replace=False)
    factor = np.where(np.isin(day % 365, off), rng.uniform(0.3, 0.7), 1.0)
    summer = (day % 365 > 205) & (day % 365 < 235)
    winter = (day % 365 > 350) | (day % 365 < 1)
    return np.asarray(np.where(summer, 0.92, 1.0) * np.where(winter, 0.6, 1.0) * factor, dtype=np.float64)


def _wander(hours: int, sigma: float, memory_h: float, rng: np.random.Generator) -> Floats:
    """Noise that remembers for about `memory_h` hours, as a factor about 1."""
    keep = np.exp(-1 / memory_h)
    steps = rng.standard_normal(hours) * sigma * np.sqrt(1 - keep**2)
    path = np.empty(hours)
    value = rng.standard_normal() * sigma
    for index in range(hours):
        value = value * keep + steps[index]
        path[index] = value
    return np.exp(path)


def _outages(hours: int, rng: np.random.Generator) -> Floats:
    """A handful a year: an hour or a few of next to nothing."""
    served = np.ones(hours)
    for _ in range(rng.poisson(5 * hours / HOURS)):
        at = int(rng.integers(0, hours))
        served[at : at + int(rng.integers(1, 5))] = rng.uniform(0.0, 0.4)
    return served


def moments(found: Year) -> list[datetime]:
    return [found.start + timedelta(hours=index) for index in range(len(found.requests))]
