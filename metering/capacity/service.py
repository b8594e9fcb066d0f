"""What the capacity page asks: forecasts, what would be if, and what it would cost. Milliseconds: nothing is fitted here."""

from datetime import datetime

from metering.capacity.costs import DayCost, day_cost, with_needed
from metering.capacity.scenario import Change, Outlook, outlook
from metering.capacity.storing import FleetOutlook
from metering.telemetry.energy.prices import tariffs


def capacity_outlook(found: FleetOutlook, change: Change, horizon: int) -> Outlook:
    """Of pools whose demand is forecast, `horizon` days ahead."""
    return outlook(found.fleet, found.demands, change, horizon)


def capacity_costs(before: Outlook, after: Outlook, now: datetime) -> tuple[DayCost, DayCost, DayCost]:
    """A day at the prices that are set now: as things are, changed, and changed with all the GPUs that are needed."""
    book = tariffs()
    return day_cost(before, book, now), day_cost(after, book, now), day_cost(with_needed(after), book, now)
