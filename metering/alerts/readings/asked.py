"""What a reading is asked for, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALL = ""  # the group of a rule that groups by nothing
Points = list[tuple[datetime, float | None]]
Found = dict[str, Points]
Values = dict[str, float | None]


class NotRead(ValueError):
    """What is there is too old to say how it is now. The message is for the operator."""


@dataclass(frozen=True)
class Asked:
    """`[start, end)` in steps, narrowed by `only` (dimension to value), for each value of `group` ('' for all together). `window`: of a
    burn rate."""

    start: datetime
    end: datetime
    step: timedelta = MINUTE
    group: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    window: str = ""


Read = Callable[[Asked], Found]
ReadNow = Callable[[datetime, Asked], Values]


def whole_minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)
