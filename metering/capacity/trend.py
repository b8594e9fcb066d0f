"""Where the daily level of demand goes: exponential smoothing with a damped trend, as statsmodels fits it in state-space form. Pure."""

import warnings

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The trend flattens by 1 % a day. Estimated freely it ends at its bound (0.98) and falls short of growth after some weeks; undamped it
# overshoots. On the simulated years 0.99 has the smallest error from 7 to 90 days ahead, and an interval that fits (docs/capacity.md).
DAMPING = 0.99
MOST_DAYS = 91
# How fast the trend may turn. Free, a month of days is sometimes taken for a trend that turns every day, and its interval bursts.
TURNS = (1e-4, 0.02)
LEAST_DAYS = 10  # fewer carry no trend: the level stays, and what is known of it fades as in a random walk
LEAST_STEP = 0.05  # standard deviation of a day's step, on the log scale, that is assumed at least then


def levels(days: Floats, ahead: int) -> tuple[Floats, Floats]:
    """The level of each of the next `ahead` days and its standard deviation, from the levels (logarithms) of the days before."""
    days = days[-MOST_DAYS:]
    if len(days) < LEAST_DAYS:
        steps = np.diff(days)
        step = max(float(np.sqrt((steps**2).mean())) if steps.size else 0.0, LEAST_STEP)
        return np.repeat(days[-1], ahead), step * np.sqrt(1 + np.arange(ahead, dtype=np.float64))
    if float(np.ptp(days)) < 1e-9:
        return np.repeat(days[-1], ahead), np.full(ahead, 1e-6)
    return _smoothed(days, ahead)


def _smoothed(days: Floats, ahead: int) -> tuple[Floats, Floats]:
    # Here and not on top: statsmodels takes more than a second and 100 MB to import, and only a worker that fits needs it.
    import pandas as pd  # noqa: PLC0415
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops a little early has still found a trend
        model = ETSModel(
            pd.Series(days),
            error="add",
            trend="add",
            damped_trend=True,
            initialization_method="heuristic",
            bounds={"smoothing_trend": TURNS},
        )
        with model.fix_params({"damping_trend": DAMPING}):
            fitted = model.fit(disp=False, maxiter=100)
        ahead_of = fitted.get_prediction(start=len(days), end=len(days) + ahead - 1)
    return np.asarray(ahead_of.predicted_mean, dtype=np.float64), np.sqrt(np.asarray(ahead_of.forecast_variance))
