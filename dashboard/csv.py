"""Tables as CSV downloads."""

import csv
import io
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

# A cell that begins with one of these is a formula to a spreadsheet; names in our tables come from customers.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def download(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """A file of this name, in UTF-8, with a line of column names first. Text that a spreadsheet would run is quoted with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([[_safe(cell) for cell in row] for row in rows])
    response = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _safe(cell: object) -> object:
    is_number = isinstance(cell, str) and cell.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) and not is_number else cell
