"""Margins of this month and the last, added up every few minutes, so that a page does not have to: with a thousand tenants that takes
most of a second. A page may use what is kept while prices are what they were then; otherwise it asks `margin_reports`, as all others do.
"""

import hashlib
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from billing import pricebook
from billing.contracts import MarginAmounts, MarginGap, MarginReport, MarginRow, Period
from billing.margin import margin_reports, margin_settled_hour
from billing.models import ContractRevision, KeptMargin
from billing.periods import month_of
from metering import public as metering

FRESH = timedelta(minutes=20)  # four times as long as it takes to be added up again
PAST_FRESH = timedelta(hours=3)  # of a month that is over, into which late events alone still come
GROUPINGS = (("tenant",), ("model",))


def keep() -> None:
    """Add up the current month, and the one before it where that is due. Raises ClickHouseUnavailable or ClickHouseRefused."""
    now, hour = timezone.now(), margin_settled_hour()
    if hour is None:
        return
    current = month_of(now)
    before = month_of(current.start - timedelta(days=1))
    if current.start < hour:
        _keep(Period(current.start, min(hour, current.end)), now)
    held = KeptMargin.objects.filter(start=before.start, kept_at__gt=now - PAST_FRESH / 3, basis=_basis()).exists()
    if not held and before.end <= hour:
        _keep(before, now)


def kept_margins(start: datetime, now: datetime | None = None) -> tuple[MarginReport, MarginReport] | None:
    """By tenant and by model, of the month that began at `start`, up to the hour that was settled then. None: it has to be asked."""
    at = now or timezone.now()
    row = KeptMargin.objects.filter(start=start).first()
    if row is None or row.basis != _basis():
        return None
    if row.kept_at < at - (FRESH if month_of(at).start == start else PAST_FRESH):
        return None
    return _report(row.by_tenant, row), _report(row.by_model, row)


def _keep(period: Period, now: datetime) -> None:
    basis = _basis()
    by_tenant, by_model = margin_reports(period.start, period.end, window="total", groupings=GROUPINGS)
    values = {
        "end": period.end,
        "kept_at": now,
        "basis": basis,
        "by_tenant": _json(by_tenant),
        "by_model": _json(by_model),
    }
    KeptMargin.objects.update_or_create(start=period.start, defaults=values)


def _basis() -> str:
    """Changes with every price, tariff and contract."""
    revision = ContractRevision.objects.order_by("-pk").values_list("pk", flat=True).first()
    known = (sorted(pricebook.current_versions().items()), metering.energy_tariffs_state(), revision)
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _json(report: MarginReport) -> dict[str, Any]:
    closed = report.closed_until and report.closed_until.isoformat()
    return {"closed_until": closed, "rows": [_values(row) for row in report.rows], "total": _values(report.total)}


def _values(row: MarginRow) -> dict[str, Any]:
    found = asdict(row)
    del found["window_start"]
    amounts = [
        [one.currency, *(_text(side) for side in (one.revenue, one.energy_cost, one.gpu_cost))] for one in row.amounts
    ]
    return found | {"amounts": amounts, "margin": _text(row.margin), "margin_share": _text(row.margin_share)}


def _report(held: dict[str, Any], row: KeptMargin) -> MarginReport:
    closed = held["closed_until"]
    rows = tuple(_row(values, row.start) for values in held["rows"])
    until = datetime.fromisoformat(closed) if closed else None
    return MarginReport(row.start, row.end, until, rows, _row(held["total"], row.start))


def _row(values: dict[str, Any], start: datetime) -> MarginRow:
    known = {
        "window_start": start,
        "amounts": tuple(MarginAmounts(one[0], *(_decimal(side) for side in one[1:])) for one in values["amounts"]),
        "margin": _decimal(values["margin"]),
        "margin_share": _decimal(values["margin_share"]),
        "gaps": tuple(MarginGap(gap) for gap in values["gaps"]),
    }
    return MarginRow(**(values | known))


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
