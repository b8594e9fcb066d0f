"""CSV, beside REST framework's JSON: a header line, one row a line, exact numbers as text."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer


class CsvRenderer(BaseRenderer):
    """Takes `{"columns": [...], "data": [{...}]}`: the columns are given, so that an empty answer has its header too."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return table(data["columns"], data["data"]).encode()


def table(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """RFC 4180: CRLF, quotes where needed. None is an empty cell, true and false are words."""
    names = list(columns)
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return held.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
