"""Annotations for programs: a deploy pipeline says what it did, and dashboards of others draw it. For operators' keys."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.annotations import KINDS, AnnotationInfo, AnnotationRefused, annotate, annotations, withdraw
from metering.api.access import credential_of
from metering.api.bodies import ObjectParser
from metering.api.operator_views import OperatorView
from metering.api.problems import InvalidParameter
from metering.api.times import PAST, moment, past
from metering.contracts import Scope
from metering.moments import instant

FIELDS = ("kind", "text", "at", "until", "link", "model", "region", "cluster")


class AnnotationShape(serializers.Serializer[Any]):
    id = serializers.IntegerField(allow_null=True, help_text="null for an alert")
    kind = serializers.ChoiceField(choices=(*KINDS, "alert"))
    text = serializers.CharField()
    at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    link = serializers.CharField()
    model = serializers.CharField()
    region = serializers.CharField()
    cluster = serializers.CharField()
    made_by = serializers.CharField()
    lasting = serializers.BooleanField(help_text="whether it is not over yet; else one without `until` is a moment")


class NewAnnotationShape(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=KINDS)
    text = serializers.CharField(max_length=300)
    at = serializers.DateTimeField(required=False, help_text="default: now")
    until = serializers.DateTimeField(required=False)
    link = serializers.URLField(required=False)
    model = serializers.CharField(required=False)
    region = serializers.CharField(required=False)
    cluster = serializers.CharField(required=False)


class AnnotationsShape(serializers.Serializer[Any]):
    data = AnnotationShape(many=True)  # type: ignore[assignment]


class _View(OperatorView):
    parser_classes = (ObjectParser,)

    def needed(self, method: str | None) -> Scope:
        return Scope.USAGE_READ if method == "GET" else Scope.ANNOTATIONS_WRITE


class AnnotationsView(_View):
    @extend_schema(
        operation_id="annotations",
        parameters=PAST,
        responses=AnnotationsShape,
    )
    def get(self, request: Request) -> Response:
        """What happened in a range, alerts included, the oldest first."""
        start, end = past(request.query_params)
        return Response({"data": [shape(one) for one in annotations(start, end)]})

    @extend_schema(operation_id="annotate", request=NewAnnotationShape, responses={201: AnnotationShape})
    def post(self, request: Request) -> Response:
        """Say that something happened: a deploy, maintenance, or a note."""
        credential = credential_of(request)
        try:
            made = annotate(by=credential.prefix, **_said(request.data))
        except AnnotationRefused as error:
            raise InvalidParameter(error.field, str(error)) from error
        return Response(shape(made), status=201)


class AnnotationView(_View):
    @extend_schema(operation_id="withdraw_annotation", responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        """Take one back that was wrong."""
        credential = credential_of(request)
        if not withdraw(number, by=credential.prefix):
            raise exceptions.NotFound(f"there is no annotation {number}")
        return Response(status=204)


def shape(one: AnnotationInfo) -> dict[str, Any]:
    named = {
        name: getattr(one, name)
        for name in ("id", "kind", "text", "link", "model", "region", "cluster", "made_by", "lasting")
    }
    return named | {"at": instant(one.at), "until": instant(one.until) if one.until else None}


def _said(body: Any) -> dict[str, Any]:
    if unknown := set(body) - set(FIELDS):
        raise InvalidParameter(sorted(unknown)[0], f"unknown field; known are {', '.join(FIELDS)}")
    for name in ("kind", "text"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise InvalidParameter(name, f"{name} is missing, or is no text")
    said: dict[str, Any] = {}
    for name, value in body.items():
        if not isinstance(value, str):
            raise InvalidParameter(name, f"{name} is no text")
        said[name] = _moment(name, value) if name in {"at", "until"} else value
    return said


def _moment(name: str, text: str) -> datetime:
    return moment(name, text)
