"""Fitting coefficients for every model and kind of GPU from the windows of the last days, and keeping each fit."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np
from django.utils import timezone

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_fits import FitWindows
from metering.models import EnergyCoefficients
from metering.telemetry.energy.arrays import floats
from metering.telemetry.energy.fitting import Fit, Observations, fit
from metering.telemetry.settled import energy_settled

DAYS = timedelta(days=7)
TIMEOUT_S = 120.0
MOST_WINDOWS = 2_000_000
Key = tuple[str, str, bool]  # model, product, simulated


def refit(
    *, start: datetime | None = None, end: datetime | None = None, effective_from: datetime | None = None
) -> list[EnergyCoefficients]:
    """One row for each model and product with work in `[start, end)`; by default the seven days up to where energy is settled.

    Accepted fits divide the windows from `effective_from` on, by default from `end`: windows that are written already stay as they are
    until something makes them due again. Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    until = end or energy_settled().closed_until or timezone.now().replace(second=0, microsecond=0)
    since = start or until - DAYS
    return [
        EnergyCoefficients.objects.create(
            model=model,
            product=product,
            simulated=simulated,
            data_from=since,
            data_until=until,
            effective_from=effective_from or until,
            **_values(fit(seen)),
        )
        for (model, product, simulated), seen in sorted(_observations(since, until).items(), key=lambda one: one[0])
    ]


def _values(found: Fit) -> dict[str, float | int | str | bool | None]:
    return {
        "prefill_j": found.prefill_j,
        "decode_j": found.decode_j,
        "prefill_error_j": found.prefill_error_j,
        "decode_error_j": found.decode_error_j,
        "r_squared": found.r_squared,
        "windows": found.windows,
        "accepted": not found.reason,
        "reason": found.reason,
    }


def _observations(start: datetime, end: datetime) -> dict[Key, Observations]:
    """Busy energy less what the same GPU-seconds would have burned idle.

    GPUs that never rested have no idle power of their own: that of the others of their kind is taken, and without any they are left out.
    """
    query = FitWindows(moments.seconds(start), moments.seconds(end))
    rows: defaultdict[Key, list[tuple[float, ...]]] = defaultdict(list)
    for model, product, simulated, *values in client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_WINDOWS).rows:
        rows[model, product, bool(simulated)].append(tuple(values))
    found = {}
    for key, windows in rows.items():
        prefill, decode, busy_j, busy_s, idle_w, measured = np.array(windows, dtype=np.float64).T
        usual = _idle_power(rows, key)
        power = np.where(measured > 0, idle_w, usual)
        known = ~np.isnan(power)
        above = np.maximum(busy_j - power * busy_s, 0.0)
        found[key] = Observations(floats(prefill[known]), floats(decode[known]), floats(above[known]))
    return found


def _idle_power(rows: dict[Key, list[tuple[float, ...]]], key: Key) -> float:
    """The mean of what GPUs of that kind measured; NaN if none did."""
    _, product, simulated = key
    measured: Iterable[float] = (
        window[4]
        for (_, other, made_up), windows in rows.items()
        if (other, made_up) == (product, simulated)
        for window in windows
        if window[5]
    )
    values = list(measured)
    return float(np.mean(values)) if values else float("nan")
