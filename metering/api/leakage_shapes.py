"""What `GET /api/v1/leakage` gives out, and its description for the OpenAPI document.

Tokens and requests are JSON numbers to a thousandth: they are spread over minutes, and no money is made of them.
"""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from metering.moments import instant
from metering.telemetry.reconciliation.alerts import KINDS, LeakageAlert
from metering.telemetry.reconciliation.findings import BAD, WARN, LeakageFinding
from metering.telemetry.reconciliation.hours import Counted, Incomplete, Leakage
from metering.telemetry.reconciliation.report import GROUPS, LeakageRow

DIGITS, SHARE_DIGITS = 3, 9


def row(one: LeakageRow, group_by: Sequence[str]) -> dict[str, Any]:
    groups = {name: getattr(one, name) for name in group_by}
    return {"window_start": instant(one.window_start), **groups, **figures(one.found)}


def figures(found: Leakage) -> dict[str, Any]:
    return {
        "hours": found.hours,
        "incomplete_hours": found.incomplete_hours,
        "incomplete": {reason.value: count for reason, count in found.reasons},
        **_side("engine", found.engine_side),
        "aborted_requests": round(found.aborted, DIGITS),
        **_side("event", found.event_side),
        **_difference("unbilled", found.unbilled),
        "unbilled_share": _share(found.unbilled_share),
        "unbilled_requests_share": _share(found.unbilled_requests_share),
        **_difference("phantom", found.phantom),
        "phantom_share": _share(found.phantom_share),
        "phantom_requests_share": _share(found.phantom_requests_share),
        "simulated": found.simulated,
    }


def alert(one: LeakageAlert) -> dict[str, Any]:
    return {
        "node": one.node,
        "engine": one.engine,
        "model": one.model,
        "kind": one.kind,
        "since": instant(one.since),
        "since_before": one.since_before,
        "until": instant(one.until),
        "tokens": round(one.tokens, DIGITS),
        "share": _share(one.share),
        "simulated": one.found.simulated,
    }


def finding(one: LeakageFinding) -> dict[str, str]:
    return {"tone": one.tone, "text": one.text, "advice": one.advice}


def _side(name: str, counted: Counted) -> dict[str, float]:
    return {
        f"{name}_requests": round(counted.requests, DIGITS),
        f"{name}_input_tokens": round(counted.input, DIGITS),
        f"{name}_cached_tokens": round(counted.cached, DIGITS),
        f"{name}_output_tokens": round(counted.output, DIGITS),
    }


def _difference(name: str, counted: Counted) -> dict[str, float]:
    return {
        f"{name}_requests": round(counted.requests, DIGITS),
        f"{name}_input_tokens": round(counted.input, DIGITS),
        f"{name}_output_tokens": round(counted.output, DIGITS),
        f"{name}_tokens": round(counted.tokens, DIGITS),
    }


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, SHARE_DIGITS)


class FiguresShape(serializers.Serializer[Any]):
    """Complete engine hours together. Unbilled: counted by engines, in no event. Phantom: in events, counted by no engine."""

    hours = serializers.IntegerField(help_text="engine hours that were compared")
    incomplete_hours = serializers.IntegerField(help_text="engine hours that were left out of everything below")
    incomplete = serializers.DictField(
        child=serializers.IntegerField(), help_text=f"why: {', '.join(Incomplete)}; an hour may have several reasons"
    )
    engine_requests = serializers.FloatField(help_text="finished for whatever reason, aborted ones included")
    engine_input_tokens = serializers.FloatField(help_text="cached ones included")
    engine_cached_tokens = serializers.FloatField()
    engine_output_tokens = serializers.FloatField()
    aborted_requests = serializers.FloatField()
    event_requests = serializers.FloatField()
    event_input_tokens = serializers.FloatField(help_text="cached ones included")
    event_cached_tokens = serializers.FloatField()
    event_output_tokens = serializers.FloatField()
    unbilled_requests = serializers.FloatField()
    unbilled_input_tokens = serializers.FloatField()
    unbilled_output_tokens = serializers.FloatField()
    unbilled_tokens = serializers.FloatField(help_text="input and output")
    unbilled_share = serializers.FloatField(allow_null=True, help_text="of the engines' tokens")
    unbilled_requests_share = serializers.FloatField(allow_null=True)
    phantom_requests = serializers.FloatField()
    phantom_input_tokens = serializers.FloatField()
    phantom_output_tokens = serializers.FloatField()
    phantom_tokens = serializers.FloatField(help_text="input and output")
    phantom_share = serializers.FloatField(allow_null=True, help_text="of the events' tokens")
    phantom_requests_share = serializers.FloatField(allow_null=True)
    simulated = serializers.BooleanField(help_text="some of it was made up by the simulator")


class LeakageRowShape(FiguresShape):
    window_start = serializers.DateTimeField()
    node = serializers.CharField(required=False)
    engine = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    region = serializers.CharField(required=False)


class AlertShape(serializers.Serializer[Any]):
    """An engine whose latest judged hour is above the threshold."""

    node = serializers.CharField()
    engine = serializers.CharField()
    model = serializers.CharField()
    kind = serializers.ChoiceField(list(KINDS))
    since = serializers.DateTimeField()
    since_before = serializers.BooleanField(help_text="it may have begun earlier: no further back was looked")
    until = serializers.DateTimeField(help_text="end of the latest judged hour")
    tokens = serializers.FloatField(help_text="in the judged hours between the two")
    share = serializers.FloatField()
    simulated = serializers.BooleanField()


class FindingShape(serializers.Serializer[Any]):
    tone = serializers.ChoiceField([BAD, WARN])
    text = serializers.CharField()
    advice = serializers.CharField(allow_blank=True)


class StateShape(serializers.Serializer[Any]):
    """What is on alert now, whatever the range and filters of the question."""

    at = serializers.DateTimeField(allow_null=True, help_text="end of the latest settled hour")
    alert_share = serializers.FloatField()
    min_tokens = serializers.IntegerField()
    alerts = AlertShape(many=True)
    findings = FindingShape(many=True)


class LeakageShape(serializers.Serializer[Any]):
    data = LeakageRowShape(many=True)  # type: ignore[assignment]
    total = FiguresShape(help_text="all rows together, those of other pages too")
    state = StateShape()
    to = serializers.DateTimeField(help_text="exclusive end of what was read")
    closed_until = serializers.DateTimeField(allow_null=True, help_text="minutes before this are settled")
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


GROUPED_BY = ", ".join(GROUPS)
