"""Fitting coefficients for every model and kind of GPU from the windows of the last days, and keeping each fit."""

from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
from django.utils import timezone

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_fits import FitWindows
from metering.models import EnergyCoefficients
from metering.telemetry.energy.arrays import Floats
from metering.telemetry.energy.fitting import Fit, Observations, fit
from metering.telemetry.settled import energy_settled

DAYS = timedelta(days=7)
TIMEOUT_S = 120.0
MOST_WINDOWS = 2_000_000
Key = tuple[str, str, bool]  # model, product, simulated
IDLE_W, MEASURED = 6, 7  # of the columns that are numbers
# An H100 SXM at rest (nvidia-smi of an "NVIDIA H100 80GB HBM3" in the test data of utkuozdemir/nvidia_gpu_exporter: 69.85 W at 41 C).
ASSUMED_IDLE_W = 70.0


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
        "prefill_j": found.prefill_j.value,
        "prefill_context_j": found.prefill_context_j.value,
        "decode_j": found.decode_j.value,
        "decode_w": found.decode_w.value,
        "prefill_error_j": found.prefill_j.error,
        "prefill_context_error_j": found.prefill_context_j.error,
        "decode_error_j": found.decode_j.error,
        "decode_error_w": found.decode_w.error,
        "r_squared": found.r_squared,
        "windows": found.windows,
        "accepted": not found.reason,
        "reason": found.reason,
    }


def _observations(start: datetime, end: datetime) -> dict[Key, Observations]:
    """Busy energy less what the same GPU-seconds would have burned idle.

    GPUs that never rested have no idle power of their own: that of the others of their kind is taken.
    """
    query = FitWindows(moments.seconds(start), moments.seconds(end))
    rows: defaultdict[Key, list[tuple[float, ...]]] = defaultdict(list)
    for model, product, simulated, *values in client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_WINDOWS).rows:
        rows[model, product, bool(simulated)].append(tuple(values))
    found = {}
    for key, windows in rows.items():
        columns = np.array(windows, dtype=np.float64).T
        found[key] = _observed(columns, np.where(columns[MEASURED] > 0, columns[IDLE_W], _idle_power(rows, key)))
    return found


def _observed(columns: Floats, idle_w: Floats) -> Observations:
    prefill, prefill_context, decode, prompting_s, busy_j, busy_s, *_ = columns
    prompting_s = np.minimum(prompting_s, busy_s)
    return Observations(
        prefill=prefill,
        prefill_context=prefill_context,
        decode=decode,
        decoding_s=busy_s - prompting_s,
        joules=np.maximum(busy_j - idle_w * busy_s, 0.0),
        prompting_idle_j=idle_w * prompting_s,
    )


def _idle_power(rows: dict[Key, list[tuple[float, ...]]], key: Key) -> float:
    """The mean of what GPUs of that kind measured. If none did, what is assumed, or the lowest power of any if that is less."""
    _, product, simulated = key
    kind = [
        window
        for (_, other, made_up), windows in rows.items()
        if (other, made_up) == (product, simulated)
        for window in windows
    ]
    measured = [window[IDLE_W] for window in kind if window[MEASURED]]
    if measured:
        return float(np.mean(measured))
    return min(ASSUMED_IDLE_W, *(window[IDLE_W] for window in kind))
