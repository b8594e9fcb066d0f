"""Previews that were asked for: a worker claims each, says how far it is, and leaves the result for those who decide."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing import pricebook, rating
from billing.contracts import Period
from billing.models import PriceBookVersion, PricePreview
from billing.price_preview import MOST_MONTHS, Bill, CustomerPreview, Preview, PreviewRefused, preview

logger = logging.getLogger(__name__)
TASK = "billing.price_preview"
SILENT = timedelta(minutes=10)  # a worker that said nothing for so long is taken to be gone
PROGRESS_EVERY = timedelta(seconds=1)


@dataclass(frozen=True)
class PreviewRun:
    """One asking. `preview` None until `state` is done; `error` says why it failed."""

    id: int
    book: str
    version: int
    months: int
    as_dated: bool
    state: str
    periods_done: int
    periods_due: int
    error: str
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None
    preview: Preview | None

    @property
    def ended(self) -> bool:
        return self.state in {PricePreview.State.DONE, PricePreview.State.FAILED}


def ask(book: str, version: int, months: int, *, as_dated: bool = False, by: str) -> int:
    """The id of a preview that a worker makes. Raises pricebook.UnknownVersion or PreviewRefused."""
    if not 1 <= months <= MOST_MONTHS:
        raise PreviewRefused(f"a preview is of 1 to {MOST_MONTHS} months, not {months}")
    pricebook.version_info(book, version)
    row = PricePreview.objects.create(
        version=PriceBookVersion.objects.get(book__name=book, number=version),
        months=months,
        as_dated=as_dated,
        until=timezone.now(),
        asked_by=by[:150],
    )
    # The broker carries the number alone; what it loses is found by the next look at the page.
    transaction.on_commit(lambda: _announce(row.pk))
    return row.pk


def look(number: int) -> PreviewRun | None:
    """How far it is. One that no worker took, or whose worker is gone, is announced again."""
    row = PricePreview.objects.select_related("version__book").filter(pk=number).first()
    if row is None:
        return None
    if _claimable(timezone.now()).filter(pk=number, heartbeat_at__lt=timezone.now() - SILENT).exists():
        _announce(number)
    return _run(row)


def recent(limit: int = 20) -> list[PreviewRun]:
    """The newest first, without their results."""
    rows = PricePreview.objects.select_related("version__book").defer("result")[:limit]
    return [_run(row, with_result=False) for row in rows]


def make(number: int) -> None:
    """What the worker does. A second worker that hears of the same one leaves it alone."""
    now = timezone.now()
    if _claimable(now).filter(pk=number).update(state=PricePreview.State.RUNNING, heartbeat_at=now) != 1:
        return
    row = PricePreview.objects.select_related("version__book").get(pk=number)
    try:
        found = preview(
            row.version.book.name,
            row.version.number,
            row.months,
            as_dated=row.as_dated,
            until=row.until,
            progress=_Progress(number),
        )
    except Exception as error:
        # Whatever it is, the page says so; the log has the traceback.
        logger.exception("price preview %s failed", number)
        _end(number, PricePreview.State.FAILED, error=str(error) or type(error).__name__)
        return
    _end(
        number,
        PricePreview.State.DONE,
        result=_as_json(found),
        seal=found.seal,
        price_versions=dict(found.versions),
    )


class _Progress:
    """Writes how far it is, once a second at most."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.written = timezone.now() - PROGRESS_EVERY

    def __call__(self, done: int, due: int) -> None:
        now = timezone.now()
        if now - self.written >= PROGRESS_EVERY or done == due:
            PricePreview.objects.filter(pk=self.number).update(periods_done=done, periods_due=due, heartbeat_at=now)
            self.written = now


def _announce(number: int) -> None:
    try:
        current_app.send_task(TASK, args=[number], retry=False)
    except Exception:
        # Without a broker the row waits; the page announces it again.
        logger.warning("price preview %s waits: the broker does not answer", number, exc_info=True)


def _claimable(now: datetime) -> "Any":
    waiting = Q(state=PricePreview.State.WAITING)
    abandoned = Q(state=PricePreview.State.RUNNING, heartbeat_at__lt=now - SILENT)
    return PricePreview.objects.filter(waiting | abandoned)


def _end(number: int, state: str, **fields: Any) -> None:
    PricePreview.objects.filter(pk=number).update(state=state, finished_at=timezone.now(), **fields)


def _run(row: PricePreview, *, with_result: bool = True) -> PreviewRun:
    return PreviewRun(
        row.pk,
        row.version.book.name,
        row.version.number,
        row.months,
        row.as_dated,
        row.state,
        row.periods_done,
        row.periods_due,
        row.error,
        row.asked_by,
        row.asked_at,
        row.finished_at,
        _from_json(row) if with_result and row.result is not None else None,
    )


def _as_json(found: Preview) -> dict[str, Any]:
    return {
        "customers": [
            {"tenant": one.tenant, "currency": one.currency, "bills": [_bill_json(bill) for bill in one.bills]}
            for one in found.customers
        ]
    }


def _bill_json(bill: Bill) -> dict[str, Any]:
    return {
        "start": bill.period.start.isoformat(),
        "end": bill.period.end.isoformat(),
        "before": rating.plain(bill.before),
        "after": rating.plain(bill.after),
        "unpriced": [bill.unpriced_before, bill.unpriced_after],
    }


def _from_json(row: PricePreview) -> Preview:
    customers = (_customer(one) for one in (row.result or {})["customers"])
    return Preview(
        row.version.book.name,
        row.version.number,
        row.months,
        row.as_dated,
        row.until,
        row.seal or 0,
        row.price_versions,
        tuple(customers),
    )


def _customer(one: Mapping[str, Any]) -> CustomerPreview:
    return CustomerPreview(one["tenant"], one["currency"], tuple(_bill(bill) for bill in one["bills"]))


def _bill(one: Mapping[str, Any]) -> Bill:
    period = Period(datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]))
    return Bill(period, Decimal(one["before"]), Decimal(one["after"]), *one["unpriced"])
