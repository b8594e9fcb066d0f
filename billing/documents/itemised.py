"""An invoice as CSV, item by item: each line's hours, or its requests. All amounts together are the invoice's subtotal, to the cent.

What is made of no requests (fees, discounts, credits) is one row. Rows are made as they are read: an invoice may have millions.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from itertools import chain, islice

from billing import drilldown
from billing.documents import reading
from billing.documents.document import Document, DocumentLine
from billing.rating.exact import plain
from billing.rating.rounding import rounded
from metering.public import instant

COLUMNS = (
    *("line", "type", "model", "tier", "operation", "region", "kind", "start", "end", "request_id", "source", "status"),
    *("requests", "quantity", "unit", "billed", "amount_exact", "amount", "currency", "description"),
)
# A cell that begins with one of these is a formula to a spreadsheet; names and ids come from customers.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
PAGE = 20_000  # requests that are held at once
ROWS_IN_CHUNK = 500

Row = dict[str, str]


class Detail(StrEnum):
    LINES = "lines"
    HOURS = "hours"
    REQUESTS = "requests"


def itemised_csv(number: str, tenant: str | None = None, detail: Detail = Detail.HOURS) -> Iterator[bytes]:
    """UTF-8 in pieces, a line of column names first. Raises NoSuchDocument before the first piece."""
    document = reading.invoice(number, tenant)
    rows = chain.from_iterable(_rows(document, line, detail) for line in document.lines)
    return _written(rows)


def _written(rows: Iterable[Row]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    left = iter(rows)
    while True:
        held = list(islice(left, ROWS_IN_CHUNK))
        writer.writerows(held)
        yield text.getvalue().encode()
        if not held:
            return
        text.seek(0)
        text.truncate()


def _rows(document: Document, line: DocumentLine, detail: Detail) -> Iterator[Row]:
    """At least one, so that nothing of the invoice is missing."""
    if detail is Detail.LINES:
        parts: Iterator[Row] = iter(())
    else:
        parts = _hours(document, line) if detail is Detail.HOURS else _requests(document, line)
    try:
        first = next(parts, None)
    except drilldown.NotUsage:
        first = None
    if first is None:
        yield _whole(document, line)
        return
    yield first
    yield from parts


def _whole(document: Document, line: DocumentLine) -> Row:
    return _row(document, line) | {
        "quantity": plain(line.quantity),
        "amount_exact": plain(line.amount + line.residual),
        "amount": _money(document, line.amount),
    }


def _hours(document: Document, line: DocumentLine) -> Iterator[Row]:
    for hour in drilldown.hours(document.number, line.position, document.tenant).hours:
        yield _row(document, line) | {
            "start": instant(hour.start),
            "end": instant(hour.end),
            "requests": str(hour.requests),
            "quantity": str(hour.quantity),
            "amount_exact": plain(hour.amount_exact),
            "amount": _money(document, hour.amount),
        }


def _requests(document: Document, line: DocumentLine) -> Iterator[Row]:
    after = None
    while True:
        page = drilldown.requests(document.number, line.position, document.tenant, after=after, limit=PAGE)
        for one in page.requests:
            request = one.request
            yield _row(document, line) | {
                "start": instant(request.time),
                "end": instant(request.time),
                "request_id": _safe(request.id),
                "source": _safe(request.source),
                "status": request.status,
                "operation": _safe(request.operation),
                "region": _safe(request.region),
                "requests": "1",
                "quantity": str(request.quantity),
                "amount_exact": plain(one.amount_exact),
                "amount": _money(document, one.amount),
            }
        if page.after is None:
            return
        after = page.after


def _row(document: Document, line: DocumentLine) -> Row:
    return {
        "line": str(line.position),
        "type": line.type.value,
        "model": _safe(line.model),
        "tier": _safe(line.tier),
        "operation": _safe(line.operation),
        "region": _safe(line.region),
        "kind": _safe(line.kind),
        "start": instant(line.start),
        "end": instant(line.end),
        "unit": _safe(line.unit),
        "billed": "true" if line.billed else "false",
        "currency": document.currency,
        "description": _safe(line.explanation),
    }


def _money(document: Document, amount: Decimal) -> str:
    return format(rounded(amount, document.currency), "f")


def _safe(text: str) -> str:
    """Text that a spreadsheet would run is quoted with an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
