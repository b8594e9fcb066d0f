"""How much each customer sends at a time: growth, the rhythm of day and week. Pure functions of time.

`anchor` is where the demo's history begins. Growth stops at the end of the history, so that a demo left running for months does
not outgrow its laptop.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from metering.demo.provider import CUSTOMERS, HISTORY_DAYS, Customer

Floats = npt.NDArray[np.float64]

DAILY_SWING = 0.55  # of the mean: at the peak hour 1.55 times, twelve hours later 0.45 times
BUSIEST = 1 + DAILY_SWING


def rates_rps(anchor: datetime, moment: datetime, customers: Sequence[Customer] = CUSTOMERS) -> Floats:
    """Requests per second of every customer."""
    return np.array([_growth(customer, anchor, moment) * _rhythm(customer, moment) for customer in customers])


def utilisation(anchor: datetime, moment: datetime, customers: Sequence[Customer] = CUSTOMERS) -> float:
    """How full the engines are, 0 to 0.97. Capacity is taken to keep ahead of growth, so only the rhythm shows."""
    capacity = sum(_growth(customer, anchor, moment) for customer in customers) * BUSIEST
    return float(min(rates_rps(anchor, moment, customers).sum() / capacity * 1.05, 0.97))


def _growth(customer: Customer, anchor: datetime, moment: datetime) -> float:
    """The customer's daily mean, requests per second."""
    days_short = (anchor + timedelta(days=HISTORY_DAYS) - moment) / timedelta(days=1)
    return float(customer.rate_rps * 2 ** (-max(days_short, 0) / customer.doubling_days))


def _rhythm(customer: Customer, moment: datetime) -> float:
    hour = moment.hour + moment.minute / 60
    daily = 1 + DAILY_SWING * np.cos((hour - customer.peak_hour) / 24 * 2 * np.pi)
    return float(daily * (customer.weekend if moment.weekday() >= 5 else 1.0))
