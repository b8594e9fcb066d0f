"""What the saturation endpoints give out, and its description for the OpenAPI document."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from metering.moments import instant
from metering.telemetry.fleet_history import SaturationPoint
from metering.telemetry.saturation import CONSTRAINTS, READINGS
from metering.telemetry.saturation_scopes import BoundShare, EngineState, ScopeState

DIGITS = 6
CONSTRAINT_NAMES = f"one of {', '.join(CONSTRAINTS)}; empty: none"


def engine(one: EngineState) -> dict[str, Any]:
    state = one.saturation
    return {
        "node": one.node,
        "engine": one.engine,
        "engine_kind": one.engine_kind,
        "model": one.model,
        "region": one.region,
        "cluster": one.cluster,
        "gpus": list(one.gpus),
        "gpu_weight": _rounded(one.weight),
        "at": instant(one.at),
        "up": one.up,
        "score": _rounded(state.score),
        "constraint": state.constraint,
        "bound": state.bound,
        "since": instant(one.since) if one.since else None,
        "readings": {name: _rounded(value) for name, value in state.readings.items()},
        "missing": list(state.missing),
        "headroom": _headroom(one),
        "running": _rounded(one.running),
        "waiting": _rounded(one.waiting),
        "prompt_tokens_per_s": _rounded(one.prompt_tokens_per_s),
        "generation_tokens_per_s": _rounded(one.generation_tokens_per_s),
        "simulated": one.simulated,
    }


def scope(one: ScopeState) -> dict[str, Any]:
    worst = one.worst.saturation
    return {
        one.group: one.name,
        "engines": one.engines,
        "down": one.down,
        "gpus": _rounded(one.gpus),
        "score": _rounded(one.score),
        "constraint": one.constraint,
        "bound": shares(one.bound),
        "since": instant(one.since) if one.since else None,
        "worst": {
            "node": one.worst.node,
            "engine": one.worst.engine,
            "score": _rounded(worst.score),
            "constraint": worst.constraint,
            "bound": worst.bound,
        },
        "missing": list(one.missing),
        "simulated": one.simulated,
    }


def point(one: SaturationPoint) -> dict[str, Any]:
    return {
        "window_start": instant(one.start),
        **one.group,
        "engines": one.engines,
        "gpus": _rounded(one.gpus),
        "score": _rounded(one.score),
        "highest": _rounded(one.highest),
        "worst": {"node": one.worst_node, "engine": one.worst_engine},
        "constraint": one.constraint,
        "bound": shares(one.bound),
        "simulated": one.simulated,
    }


def shares(bound: Sequence[BoundShare]) -> list[dict[str, Any]]:
    return [{"constraint": each.constraint, "share": _rounded(each.share)} for each in bound]


def _headroom(one: EngineState) -> dict[str, Any] | None:
    room = one.headroom
    if room is None:
        return None
    return {"reading": room.reading, "constraint": room.constraint, "minutes": round(room.minutes, 1)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


class BoundShape(serializers.Serializer[Any]):
    constraint = serializers.ChoiceField(choices=CONSTRAINTS)
    share = serializers.FloatField(help_text="of the GPUs")


class HeadroomShape(serializers.Serializer[Any]):
    reading = serializers.ChoiceField(choices=READINGS)
    constraint = serializers.ChoiceField(choices=CONSTRAINTS)
    minutes = serializers.FloatField(help_text="until it is at its saturation point, as the last 15 minutes went")


class WorstShape(serializers.Serializer[Any]):
    node = serializers.CharField()
    engine = serializers.CharField()


class SaturationRowShape(serializers.Serializer[Any]):
    """An engine; or with `group_by` a node, model or region, which has its own name and the figures of its engines."""

    node = serializers.CharField(required=False)
    engine = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    region = serializers.CharField(required=False)
    at = serializers.DateTimeField(required=False, help_text="of its newest sample")
    up = serializers.BooleanField(required=False)
    score = serializers.FloatField(allow_null=True, help_text="0 to 1; of a group, the mean by GPUs")
    constraint = serializers.CharField(help_text=CONSTRAINT_NAMES)
    bound = serializers.JSONField(
        help_text="of an engine, whether the constraint binds it; of a group, shares of its GPUs"
    )
    since = serializers.DateTimeField(allow_null=True)
    readings = serializers.DictField(child=serializers.FloatField(), required=False)
    missing = serializers.ListField(child=serializers.ChoiceField(choices=READINGS))
    headroom = HeadroomShape(allow_null=True, required=False)
    worst = WorstShape(required=False)
    simulated = serializers.BooleanField()


class SaturationShape(serializers.Serializer[Any]):
    data = SaturationRowShape(many=True)  # type: ignore[assignment]
    points = serializers.DictField(child=serializers.FloatField(), help_text="where each reading saturates")
    as_of = serializers.DateTimeField()
    next = serializers.CharField(allow_null=True, help_text="always null: all of it is in one answer")


class SaturationPointShape(serializers.Serializer[Any]):
    window_start = serializers.DateTimeField()
    engines = serializers.IntegerField()
    gpus = serializers.FloatField()
    score = serializers.FloatField(allow_null=True)
    highest = serializers.FloatField(allow_null=True)
    worst = WorstShape()
    constraint = serializers.CharField(help_text=f"what bound the most; {CONSTRAINT_NAMES}")
    bound = BoundShape(many=True)
    simulated = serializers.BooleanField()


class SaturationHistoryShape(serializers.Serializer[Any]):
    data = SaturationPointShape(many=True)  # type: ignore[assignment]
    as_of = serializers.DateTimeField()
    closed_until = serializers.DateTimeField(allow_null=True, help_text="minutes before it are worked up")
    next = serializers.CharField(allow_null=True)
