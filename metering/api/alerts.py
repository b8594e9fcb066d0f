"""Alerts for programs: what is pending or fires now, and what has happened. For operators' keys: rules are about every tenant."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.alerts.board import AlertHappened, OpenAlert, happened_between, open_alerts
from metering.api.operator_views import OperatorView
from metering.api.times import PAST, past
from metering.models import AlertEvent
from metering.moments import instant

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


class AlertsView(OperatorView):
    @extend_schema(operation_id="alerts", responses=OpenAlertsShape)
    def get(self, request: Request) -> Response:
        """What is pending or fires now: firing before pending, what wakes somebody first."""
        now = timezone.now()
        return Response({"data": [shape(one) for one in open_alerts(now)], "as_of": instant(now)})


class AlertEventsView(OperatorView):
    @extend_schema(
        operation_id="alert_events",
        parameters=PAST,
        responses=AlertEventsShape,
    )
    def get(self, request: Request) -> Response:
        """The history of a range, the oldest first: of more than 5,000 events the first, so ask on from the last one's time."""
        start, end = past(request.query_params)
        return Response({"data": [event_shape(one) for one in happened_between(start, end, MOST)]})


def shape(one: OpenAlert) -> dict[str, Any]:
    fired_at = instant(one.fired_at) if one.fired_at else None
    return {name: getattr(one, name) for name in NAMED} | {"since": instant(one.since), "fired_at": fired_at}


def event_shape(one: AlertHappened) -> dict[str, Any]:
    named = {name: getattr(one, name) for name in ("rule", "name", "group", "kind", "text", "silenced")}
    return {"at": instant(one.at)} | named
