"""A rule's last hour as a line small enough for a row of a table. Pure: values in, coordinates out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT, MARGIN = 100.0, 22.0, 2.0
SPAN = timedelta(hours=1)
LONGEST_GAP = timedelta(minutes=3)


@dataclass(frozen=True)
class Spark:
    """Polylines, one for each stretch without a gap, and where the threshold is; None if it is far away. In a box of WIDTH by HEIGHT."""

    lines: tuple[str, ...]
    threshold_y: float | None
    width: float = WIDTH
    height: float = HEIGHT


def spark(points: Sequence[tuple[datetime, float | None]], threshold: float | None) -> Spark | None:
    """None without two values. The threshold is drawn where it does not flatten the line: within three times what the values span."""
    known = [value for _, value in points if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    reach = max((high - low) * 3, abs(high) * 0.5)
    shown = threshold if threshold is not None and low - reach <= threshold <= high + reach else None
    if shown is not None:
        low, high = min(low, shown), max(high, shown)
    end = points[-1][0]

    def y(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1)

    def x(at: datetime) -> float:
        return round(WIDTH * (1 - (end - at) / SPAN), 1)

    stretches: list[list[tuple[datetime, float]]] = [[]]
    for at, value in points:
        if value is None or (stretches[-1] and at - stretches[-1][-1][0] > LONGEST_GAP):
            stretches.append([])
        if value is not None and at >= end - SPAN:
            stretches[-1].append((at, value))
    lines = (" ".join(f"{x(at):g},{y(value):g}" for at, value in one) for one in stretches if len(one) > 1)
    return Spark(tuple(lines), None if shown is None else y(shown))
