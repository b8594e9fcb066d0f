"""The history of measures that are kept nowhere else: what every evaluation saw of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import connection

from metering.alerts.readings.asked import Asked, Found, Values
from metering.models import AlertSample

KEPT_FOR = timedelta(days=8)  # a back-test looks seven days back
MOST_GROUPS = 200
STEPS = """
    SELECT "group", floor(extract(epoch FROM at) / %(step)s)::bigint * %(step)s, avg(value)
    FROM metering_alertsample
    WHERE series = %(series)s AND at >= %(start)s AND at < %(end)s
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def series(measure: str, asked: Asked) -> str:
    """What was asked for, as the name that its values are kept under."""
    narrowed = "".join(f"|{name}={value}" for name, value in sorted(asked.only.items()))
    return f"{measure}|{asked.group}{narrowed}"[:300]


def keep(found: Mapping[str, Values], now: datetime) -> None:
    """Values by series. Those that are older than a week and a day go."""
    rows = [
        AlertSample(series=name, group=group[:300], at=now, value=value)
        for name, values in found.items()
        for group, value in list(values.items())[:MOST_GROUPS]
        if value is not None
    ]
    AlertSample.objects.bulk_create(rows)
    AlertSample.objects.filter(at__lt=now - KEPT_FOR).delete()


def history(measure: str, asked: Asked) -> Found:
    """The mean of each step."""
    step_s = int(asked.step.total_seconds())
    named: dict[str, str | int | datetime] = {
        "series": series(measure, asked),
        "start": asked.start,
        "end": asked.end,
        "step": step_s,
    }
    found: Found = {}
    with connection.cursor() as cursor:
        cursor.execute(STEPS, named)
        for group, at_s, value in cursor.fetchall():
            found.setdefault(group, []).append((datetime.fromtimestamp(at_s, UTC), float(value)))
    return found
