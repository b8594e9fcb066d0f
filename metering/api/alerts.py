"""Alerts for programs: what is pending or fires now, and what has happened. For operators' keys: rules are about every tenant."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.alerts.board import AlertHappened, OpenAlert, happened_between, open_alerts
from metering.api.access import HasScope, KeyAuthentication, credential_of, require_operator
from metering.api.bodies import ExactJsonRenderer
from metering.api.problems import InvalidParameter, problem_handler
from metering.api.times import moment
from metering.contracts import Scope
from metering.models import AlertEvent
from metering.moments import instant

DEFAULT_RANGE, LONGEST_RANGE = timedelta(days=7), timedelta(days=366)
MOST = 5000
NAMED = ("rule", "name", "group", "state", "severity", "value", "words", "advice", "acknowledged_by", "silenced")


class OpenAlertShape(serializers.Serializer[Any]):
    rule = serializers.IntegerField()
    name = serializers.CharField()
    group = serializers.CharField(help_text="'' for a rule that groups by nothing")
    state = serializers.ChoiceField(choices=("pending", "firing"))
    severity = serializers.ChoiceField(choices=("page", "ticket"))
    since = serializers.DateTimeField()
    fired_at = serializers.DateTimeField(allow_null=True)
    value = serializers.CharField(help_text="with its unit")
    words = serializers.CharField(help_text="the rule's condition")
    advice = serializers.CharField()
    acknowledged_by = serializers.CharField()
    silenced = serializers.BooleanField()


class OpenAlertsShape(serializers.Serializer[Any]):
    data = OpenAlertShape(many=True)  # type: ignore[assignment]
    as_of = serializers.DateTimeField()


class AlertEventShape(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    rule = serializers.IntegerField(allow_null=True, help_text="null if it was deleted")
    name = serializers.CharField()
    group = serializers.CharField()
    kind = serializers.ChoiceField(choices=AlertEvent.Kind.choices)
    text = serializers.CharField()
    silenced = serializers.BooleanField()


class AlertEventsShape(serializers.Serializer[Any]):
    data = AlertEventShape(many=True)  # type: ignore[assignment]


class _View(APIView):
    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    renderer_classes = (ExactJsonRenderer,)

    def needed(self, method: str | None) -> Scope:
        return Scope.USAGE_READ

    def get_exception_handler(self) -> Any:
        return problem_handler


class AlertsView(_View):
    @extend_schema(operation_id="alerts", responses=OpenAlertsShape)
    def get(self, request: Request) -> Response:
        """What is pending or fires now: firing before pending, what wakes somebody first."""
        require_operator(credential_of(request))
        now = timezone.now()
        return Response({"data": [shape(one) for one in open_alerts(now)], "as_of": instant(now)})


class AlertEventsView(_View):
    @extend_schema(
        operation_id="alert_events",
        parameters=[
            OpenApiParameter("from", str, description="default: seven days before `to`"),
            OpenApiParameter("to", str, description="exclusive; default: now"),
        ],
        responses=AlertEventsShape,
    )
    def get(self, request: Request) -> Response:
        """The history of a range, the oldest first: of more than 5,000 events the first, so ask on from the last one's time."""
        require_operator(credential_of(request))
        given = request.query_params
        end = moment("to", given["to"]) if given.get("to") else timezone.now()
        start = moment("from", given["from"]) if given.get("from") else end - DEFAULT_RANGE
        if not timedelta(0) < end - start <= LONGEST_RANGE:
            raise InvalidParameter("from", "the range is empty, or longer than 366 days")
        return Response({"data": [event_shape(one) for one in happened_between(start, end, MOST)]})


def shape(one: OpenAlert) -> dict[str, Any]:
    fired_at = instant(one.fired_at) if one.fired_at else None
    return {name: getattr(one, name) for name in NAMED} | {"since": instant(one.since), "fired_at": fired_at}


def event_shape(one: AlertHappened) -> dict[str, Any]:
    named = {name: getattr(one, name) for name in ("rule", "name", "group", "kind", "text", "silenced")}
    return {"at": instant(one.at)} | named
