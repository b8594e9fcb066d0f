"""Annotations for programs: a deploy pipeline says what it did, and dashboards of others draw it. For operators' keys."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.annotations import KINDS, AnnotationInfo, AnnotationRefused, annotate, annotations, withdraw
from metering.api.access import HasScope, KeyAuthentication, credential_of, require_operator
from metering.api.bodies import ExactJsonRenderer, ObjectParser
from metering.api.problems import InvalidParameter, problem_handler
from metering.api.times import moment
from metering.contracts import Scope
from metering.moments import instant

FIELDS = ("kind", "text", "at", "until", "link", "model", "region", "cluster")
DEFAULT_RANGE, LONGEST_RANGE = timedelta(days=7), timedelta(days=366)


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


class _View(APIView):
    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    renderer_classes = (ExactJsonRenderer,)
    parser_classes = (ObjectParser,)

    def needed(self, method: str | None) -> Scope:
        return Scope.USAGE_READ if method == "GET" else Scope.ANNOTATIONS_WRITE

    def get_exception_handler(self) -> Any:
        return problem_handler


class AnnotationsView(_View):
    @extend_schema(
        operation_id="annotations",
        parameters=[
            OpenApiParameter("from", str, description="default: seven days before `to`"),
            OpenApiParameter("to", str, description="exclusive; default: now"),
        ],
        responses=AnnotationsShape,
    )
    def get(self, request: Request) -> Response:
        """What happened in a range, alerts included, the oldest first."""
        require_operator(credential_of(request))
        given = request.query_params
        end = moment("to", given["to"]) if given.get("to") else timezone.now()
        start = moment("from", given["from"]) if given.get("from") else end - DEFAULT_RANGE
        if not timedelta(0) < end - start <= LONGEST_RANGE:
            raise InvalidParameter("from", "the range is empty, or longer than 366 days")
        return Response({"data": [shape(one) for one in annotations(start, end)]})

    @extend_schema(operation_id="annotate", request=NewAnnotationShape, responses={201: AnnotationShape})
    def post(self, request: Request) -> Response:
        """Say that something happened: a deploy, maintenance, or a note."""
        credential = credential_of(request)
        require_operator(credential)
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
        require_operator(credential)
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
