"""Meters and what they say, in OpenMeter's shapes, and their description for the OpenAPI document."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.renderers import BaseRenderer

from metering.api.bodies import plain
from metering.meter_usage import MeterQuery, MeterRow
from metering.meters import Aggregation, MeterInfo
from metering.moments import instant
from metering.windows import WindowSize


def meter(info: MeterInfo) -> dict[str, Any]:
    """What is not set is left out, as OpenMeter does."""
    found = {
        "id": info.id,
        "slug": info.slug,
        "description": info.description,
        "aggregation": info.aggregation.value,
        "eventType": info.event_type,
        "valueProperty": info.value_path,
        "groupBy": dict(info.group_by),
        "unit": info.unit,
        "windowSize": WindowSize.MINUTE.value,
        "createdAt": instant(info.created_at),
        "updatedAt": instant(info.updated_at),
        "deletedAt": instant(info.archived_at) if info.archived_at else None,
    }
    return {name: value for name, value in found.items() if value}


def result(ask: MeterQuery, rows: Iterable[MeterRow]) -> dict[str, Any]:
    found: dict[str, Any] = {"from": instant(ask.start), "to": instant(ask.end)}
    if ask.size is not None:
        found["windowSize"] = ask.size.value
    return found | {"data": [_row(row) for row in rows]}


def csv_text(ask: MeterQuery, rows: Iterable[MeterRow]) -> str:
    """OpenMeter's columns: window_start, window_end, subject, the groups, value. RFC 4180."""
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(("window_start", "window_end", "subject", *ask.group_by, "value"))
    for row in rows:
        ends = (instant(row.window_start), instant(row.window_end))
        writer.writerow((*ends, row.subject or "", *row.groups.values(), plain(row.value)))
    return held.getvalue()


def _row(row: MeterRow) -> dict[str, Any]:
    return {
        "value": row.value,
        "windowStart": instant(row.window_start),
        "windowEnd": instant(row.window_end),
        "subject": row.subject,
        "groupBy": row.groups,
    }


class CsvRenderer(BaseRenderer):
    """Takes the finished text."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return str(data).encode()


class _Shown(serializers.Serializer[Any]):
    description = serializers.CharField(required=False)
    groupBy = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="group -> JSONPath of plain names, such as $.gpu.type"
    )
    unit = serializers.CharField(required=False, help_text="of the values, such as h; nothing is converted")


class MeterUpdateShape(_Shown):
    """What may change of a meter; what is left out is emptied."""


class MeterCreateShape(_Shown):
    slug = serializers.CharField(help_text="a-z, 0-9 and _, beginning with a letter")
    aggregation = serializers.ChoiceField(choices=Aggregation.choices)
    eventType = serializers.CharField(help_text="the CloudEvents type that it reads")
    valueProperty = serializers.CharField(required=False, help_text="JSONPath in data; not for COUNT")
    windowSize = serializers.ChoiceField(choices=list(WindowSize), required=False, help_text="ignored")


class MeterShape(MeterCreateShape):
    id = serializers.CharField()
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    deletedAt = serializers.DateTimeField(required=False, help_text="set once it is archived")


class MeterRowShape(serializers.Serializer[Any]):
    value = serializers.FloatField(help_text="a decimal number with all its digits (up to 9 after the point)")
    windowStart = serializers.DateTimeField()
    windowEnd = serializers.DateTimeField(help_text="exclusive")
    subject = serializers.CharField(allow_null=True, help_text="null if it was not asked for")
    groupBy = serializers.DictField(child=serializers.CharField())


class MeterResultShape(serializers.Serializer[Any]):
    to = serializers.DateTimeField()
    windowSize = serializers.ChoiceField(choices=list(WindowSize), required=False)
    data = MeterRowShape(many=True)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateTimeField(), **super().get_fields()}  # a word of Python's


class MeterQueryShape(serializers.Serializer[Any]):
    to = serializers.DateTimeField(required=False)
    windowSize = serializers.ChoiceField(choices=list(WindowSize), required=False)
    windowTimeZone = serializers.CharField(required=False)
    subject = serializers.ListField(child=serializers.CharField(), required=False)
    groupBy = serializers.ListField(child=serializers.CharField(), required=False)
    filterGroupBy = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateTimeField(required=False), **super().get_fields()}
