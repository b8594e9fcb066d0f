"""What the capacity page says: dates, limits and errors as text. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp, isnan

from dashboard.formats import MINUS, NOTHING, counted, percent
from metering.public import (
    FORECAST_LEAST_H,
    FORECAST_WEEKLY_FROM_H,
    CapacityLimit,
    DemandOutlook,
    Forecast,
    ForecastScore,
    Reached,
)

LABELS = {
    "kv_cache": "KV cache",
    "memory_bandwidth": "Memory bandwidth",
    "compute": "Compute",
    "power": "GPU power limit",
    "queue": "Queue",
    "site_power": "Cluster power",
}
MODELS = {
    "weekly": "a weekly profile of hours with a damped trend",
    "daily": "a daily profile of hours; two weeks of history are needed to know the days of the week",
    "sparse": "the mean of each hour of the day, for requests come only now and then",
}
SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
DAY_H = 24


def compact(value: float | None) -> str:
    """'0.42', '38.1', '1.20 k', '4.52 M', '19.9 T'."""
    if value is None:
        return NOTHING
    if value == float("inf"):
        return "\N{INFINITY}"
    for size, unit in SCALES:
        if value >= 0.9995 * size:
            return f"{value / size:.{2 if value < 9.995 * size else 1 if value < 99.95 * size else 0}f} {unit}"
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value else "0"


def full(value: float) -> str:
    """How full a constraint is: '62 %', '4.1 %', '1,240 %'."""
    if isnan(value):
        return NOTHING
    if value == float("inf"):
        return "no GPUs"
    return f"{value * 100:,.0f} %" if value >= 0.095 else f"{value * 100:.1f} %"


def day(begin: datetime, days: int) -> str:
    return f"{begin + timedelta(days=days):%-d %b %Y}"


def date_reached(reached: Reached | None, begin: datetime | None, days: int) -> str:
    """'19 Dec 2026, in 23 days'; 'not within 90 days'."""
    if reached is None or begin is None:
        return NOTHING
    if reached.median is None:
        return f"not within {counted(days, 'day')}"
    if reached.median == 0:
        return "now"
    return f"{day(begin, reached.median)}, in {counted(reached.median, 'day')}"


def date_span(reached: Reached | None, begin: datetime | None) -> str:
    """The 90 % interval: '9 Dec 2026 to 3 Jan 2027'; 'from 9 Dec 2026'; ''."""
    if reached is None or begin is None or reached.earliest is None:
        return ""
    first = "now" if reached.earliest == 0 else day(begin, reached.earliest)
    if reached.latest is None:
        return f"{first} at the earliest"
    if reached.latest == 0:
        return ""
    return f"{first} to {day(begin, reached.latest)}"


def limit_words(limit: CapacityLimit) -> str:
    """Why there is no limit, or how far it was stretched."""
    seen = compact(limit.highest)
    match limit.state:
        case "few":
            return f"not enough minutes yet: {limit.minutes:,}"
        case "flat":
            return "does not rise with load, as far as was seen"
        case "unseen":
            return f"no long queue up to the highest load, {seen} tokens/s a GPU"
        case "far":
            return f"not enough load seen: over 5 times the highest, {seen} tokens/s a GPU"
    stretch = limit.stretch or 0.0
    return "within the load that was seen" if stretch <= 1 else f"{stretch:.1f} times the highest load seen"


def judged(score: ForecastScore | None, measure: str) -> str:
    """The back-test in a sentence or two."""
    if score is None:
        return "It has not been back-tested yet: that takes 22 days of history."
    better = score.better_by
    verb = f"{percent(better)} better than" if better >= 0 else f"{percent(-better)} worse than"
    text = (
        f"Back-tested on held-out days: {counted(score.origins, 'forecast')} of 7 days, over the last four weeks. Mean absolute error "
        f"{percent(score.wape)} of {measure}, {verb} the seasonal-naive forecast (the same hour a week before, "
        f"{percent(score.naive_wape)}); MASE {score.mase:.2f}."
    )
    if score.coverage_90 is None:
        return f"{text} How often the interval holds is known with a few weeks more."
    peaks = (
        "" if score.peak_coverage_90 is None else f", and {percent(score.peak_coverage_90)} of the days' busiest hours"
    )
    return f"{text} The 90 % interval held {percent(score.coverage_90)} of those hours{peaks}."


def history_words(found: DemandOutlook, forecast: Forecast | None) -> str:
    """How much history there is, what was made of it, and when there will be more."""
    days = found.history_h / DAY_H
    if found.history_h == 0:
        return "There has been no request of this kind in the last 400 days."
    seen = f"{days:.0f} days" if days >= 3 else counted(found.history_h, "hour")
    if forecast is None:
        there = (found.until or datetime.now(UTC)) + timedelta(hours=FORECAST_LEAST_H - found.history_h)
        return f"{seen} of history are too little: a forecast takes three days, so there will be one from {there:%-d %b %H:%M} UTC."
    text = f"From {seen} of history: {MODELS[forecast.shape.model]}."
    if forecast.shape.model == "daily":
        there = (found.until or datetime.now(UTC)) + timedelta(hours=FORECAST_WEEKLY_FROM_H - found.history_h)
        text += f" That will be so from {there:%-d %b}."
    if found.outage_h:
        lost = counted(found.outage_h, "hour")
        text += (
            f" Taken for an outage, and for as busy as the same hours of the weeks around: {lost} with next to no request, "
            "where many were to be expected."
        )
    return text


def growth(forecast: Forecast) -> float:
    """By how much the level changes in a week, as a share."""
    level = forecast.shape.level
    last = min(7, len(level) - 1)
    return exp(7 * float(level[last] - level[0]) / last) - 1 if last else 0.0


def signed_percent(value: float) -> str:
    text = percent(abs(value))
    return f"+{text}" if value > 0 else f"{MINUS}{text}" if value < 0 else text


def joined(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
