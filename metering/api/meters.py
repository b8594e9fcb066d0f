"""OpenMeter's endpoints for meters: its clients list, define and query meters here unchanged."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering import meter_usage, meters
from metering.api import meter_parameters, meter_shapes
from metering.api.access import HasScope, KeyAuthentication, credential_of, require_operator
from metering.api.bodies import ExactJsonRenderer, ObjectParser
from metering.api.meter_shapes import CsvRenderer
from metering.api.problems import Conflict, InvalidParameter, TooMuch, problem_handler
from metering.contracts import Scope
from metering.meter_usage import InvalidQuery, TooManyRows
from metering.meters import InvalidMeter, MeterExists, MeterInfo
from metering.windows import TooManyWindows, WindowSize

NAMES = {"event_type": "eventType", "value_path": "valueProperty", "group_by": "groupBy"}
SHOWN = ("description", "groupBy", "unit")
DEFINED = ("slug", "aggregation", "eventType", "valueProperty", "windowSize", *SHOWN)
MOMENT = "RFC 3339 with an offset, or a date (its midnight in UTC)"
FROM = OpenApiParameter("from", str, description=f"inclusive; {MOMENT}; default: the start of the month of `to`")
TO = OpenApiParameter("to", str, description=f"exclusive; {MOMENT}; default: now")
QUERY = [
    FROM,
    TO,
    OpenApiParameter("windowSize", str, enum=list(WindowSize), description="default: one window, all of the time"),
    OpenApiParameter("windowTimeZone", str, description="IANA name; whose clock the windows follow; default: UTC"),
    OpenApiParameter("subject", str, many=True, description="tenants; a tenant's key reads its own only"),
    OpenApiParameter("groupBy", str, many=True, description="groups of the meter, or subject"),
    OpenApiParameter("filterGroupBy", {"type": "object"}, style="deepObject", description="filterGroupBy[group]=value"),
]


class _View(APIView):
    """Key authentication, the scope of the method, exact JSON, problems for errors."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    parser_classes = (ObjectParser,)
    renderer_classes: tuple[type[BaseRenderer], ...] = (ExactJsonRenderer,)
    writes: ClassVar[frozenset[str]] = frozenset()  # methods that change a meter

    def needed(self, method: str | None) -> Scope:
        return Scope.METERS_WRITE if method in self.writes else Scope.USAGE_READ

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in self.writes:
            require_operator(credential_of(request))

    def get_exception_handler(self) -> Any:
        return problem_handler

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:  # what REST framework says to a `format` that no renderer has
            known = " or ".join(renderer.format for renderer in self.renderer_classes)
            raise InvalidParameter("format", f"not {known}") from None


class MetersView(_View):
    """Meters by slug, the built-in ones first."""

    writes = frozenset({"POST"})

    @extend_schema(
        operation_id="meters",
        parameters=[OpenApiParameter("includeDeleted", bool, description="archived ones too")],
        responses=meter_shapes.MeterShape(many=True),
    )
    def get(self, request: Request) -> Response:
        texts, _ = meter_parameters.from_query(request.query_params, ("includeDeleted",))
        archived = texts.get("includeDeleted", ["false"])[-1].lower()
        if archived not in {"true", "false"}:
            raise InvalidParameter("includeDeleted", "neither true nor false")
        found = meters.everything(archived=archived == "true")
        return Response([meter_shapes.meter(info) for info in found])

    @extend_schema(
        operation_id="meter_create",
        request=meter_shapes.MeterCreateShape,
        responses={201: meter_shapes.MeterShape},
    )
    def post(self, request: Request) -> Response:
        """Define a meter. What it reads never changes afterwards."""
        body = _fields(request.data, DEFINED)
        try:
            info = meters.create(
                _text(body, "slug"),
                event_type=_text(body, "eventType"),
                aggregation=_text(body, "aggregation"),
                value_path=_text(body, "valueProperty"),
                **_shown(body),
            )
        except InvalidMeter as error:
            raise InvalidParameter(NAMES.get(error.field, error.field), error.reason) from error
        except MeterExists as error:
            raise Conflict(str(error)) from error
        return Response(meter_shapes.meter(info), status=201)


class MeterView(_View):
    """One meter, by slug or id."""

    writes = frozenset({"PUT", "DELETE"})

    @extend_schema(operation_id="meter", responses=meter_shapes.MeterShape)
    def get(self, request: Request, name: str) -> Response:
        return Response(meter_shapes.meter(_meter(name)))

    @extend_schema(
        operation_id="meter_update", request=meter_shapes.MeterUpdateShape, responses=meter_shapes.MeterShape
    )
    def put(self, request: Request, name: str) -> Response:
        """Replace what may change: description, groups and unit."""
        body = _fields(request.data, SHOWN)
        try:
            info = meters.update(_own(name).slug, **_shown(body))
        except InvalidMeter as error:
            raise InvalidParameter(NAMES.get(error.field, error.field), error.reason) from error
        if info is None:
            raise _no_meter(name)
        return Response(meter_shapes.meter(info))

    @extend_schema(operation_id="meter_archive", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Archive it: it takes no further events, and can still be read."""
        if not meters.archive(_own(name).slug):
            raise _no_meter(name)
        return Response(status=204)


class MeterQueryView(_View):
    """Usage of a meter, each event once; JSON, or CSV with `Accept: text/csv`."""

    renderer_classes = (ExactJsonRenderer, CsvRenderer)

    @extend_schema(operation_id="meter_query", parameters=QUERY, responses=meter_shapes.MeterResultShape)
    def get(self, request: Request, name: str) -> Response:
        return self._answer(request, name, *meter_parameters.from_query(request.query_params))

    @extend_schema(
        operation_id="meter_query_post",
        request=meter_shapes.MeterQueryShape,
        responses=meter_shapes.MeterResultShape,
    )
    def post(self, request: Request, name: str) -> Response:
        """The same question as JSON, where several values of a filter have room."""
        body = _fields(request.data, meter_parameters.KNOWN)
        return self._answer(request, name, *meter_parameters.from_body(body))

    def _answer(
        self, request: Request, name: str, texts: meter_parameters.Texts, filters: meter_parameters.Texts
    ) -> Response:
        ask = meter_parameters.meter_query(texts, filters, credential_of(request))
        info = _meter(name)
        try:
            rows = meter_usage.query(info, ask)
        except InvalidQuery as error:
            raise InvalidParameter(error.field, error.reason) from error
        except (TooManyRows, TooManyWindows) as error:
            raise TooMuch(f"{error}; ask for a shorter time, a larger windowSize or fewer groups") from error
        if request.accepted_renderer.format == CsvRenderer.format:
            headers = {"Content-Disposition": f'attachment; filename="{info.slug}.csv"'}
            return Response(meter_shapes.csv_text(ask, rows), headers=headers)
        return Response(meter_shapes.result(ask, rows))


class MeterSubjectsView(_View):
    """Who has usage of a meter: a list of tenants."""

    @extend_schema(operation_id="meter_subjects", parameters=[FROM, TO], responses={200: {"type": "array"}})
    def get(self, request: Request, name: str) -> Response:
        texts, _ = meter_parameters.from_query(request.query_params, ("from", "to"))
        start, end = meter_parameters.span(texts)
        try:
            return Response(meter_usage.subjects(_meter(name), start, end, credential_of(request).tenant))
        except InvalidQuery as error:
            raise InvalidParameter(error.field, error.reason) from error


def _meter(name: str) -> MeterInfo:
    found = meters.find(name)
    if found is None:
        raise _no_meter(name)
    return found


def _own(name: str) -> MeterInfo:
    """A meter that an operator has defined, and so may change."""
    found = _meter(name)
    if found.measure:
        raise exceptions.PermissionDenied(f"{found.slug} is built in and cannot be changed")
    return found


def _no_meter(name: str) -> exceptions.NotFound:
    return exceptions.NotFound(f"there is no meter {name[:80]!r}")


def _fields(body: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The JSON object that was sent, if it has no other fields."""
    found: Mapping[str, Any] = body if isinstance(body, dict) else {}
    for name in found:
        if name not in known:
            raise InvalidParameter(name[:80], f"unknown field; known: {', '.join(known)}")
    return found


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidParameter(name, "text is expected")
    return value or ""


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    groups = body.get("groupBy") or {}
    if not isinstance(groups, dict) or not all(isinstance(path, str) for path in groups.values()):
        raise InvalidParameter("groupBy", "an object of names and JSONPaths is expected")
    return {"group_by": groups, "description": _text(body, "description"), "unit": _text(body, "unit")}
