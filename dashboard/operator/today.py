"""Money of the day so far, for the overview's tiles. It takes long to read and moves once an hour."""

from dataclasses import dataclass
from datetime import UTC, datetime

from billing.contracts import MarginReport
from billing.public import margin_report, margin_settled_hour
from dashboard.operator.aside import ASIDE

FRESH_S, TRUE_S = 60.0, 900.0


@dataclass(frozen=True)
class Money:
    """Up to the latest hour of which all energy is settled; None before the first of today."""

    report: MarginReport | None


def money(tenant: str) -> Money | None:
    """None while it is being read. Raises as a reading does."""
    return ASIDE.latest(("money-today", tenant), FRESH_S, TRUE_S, lambda: _money(tenant))


def _money(tenant: str) -> Money:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = margin_settled_hour()
    if end is None or end <= start:
        return Money(None)
    return Money(margin_report(start, end, window="total", tenant=tenant or None, group_by=()))
