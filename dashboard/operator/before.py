"""The series of the period before, with which a chart is compared."""

from dataclasses import replace
from datetime import timedelta

from dashboard.operator.filters import Window
from metering.public import LivePoint, LiveScope, live_series

HOUR = timedelta(hours=1)
# Minutes of a part of the service are kept apart for a day. Of earlier ones those of all parts are read, which takes long for many hours;
# hours are kept apart for ever.
BY_HOUR_FROM = timedelta(hours=12)


def series_before(scope: LiveScope, window: Window) -> list[LivePoint]:
    """A point for each step of the period before `window`, at its own time. Where that is half a day or more in steps of less than an hour,
    each has the rates and latencies of the hour that it begins in."""
    back = window.previous
    if back.step >= HOUR or back.end - back.start < BY_HOUR_FROM:
        return live_series(scope, back.start, back.step, back.end)
    begin = back.start.replace(minute=0, second=0, microsecond=0)
    hours = {one.start: one for one in live_series(scope, begin, HOUR, back.end)}
    return [
        replace(hours[at.replace(minute=0)], start=at, end=min(at + back.step, back.end))
        for at in back.steps
        if at < back.end
    ]
