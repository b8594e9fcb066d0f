"""What `GET /api/v1/energy` gives out, and its description for the OpenAPI document. Amounts are strings with all their digits."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from metering.api.bodies import plain
from metering.moments import instant
from metering.telemetry.energy.amounts import Amounts
from metering.telemetry.energy.report import GROUPS, LABELS, EnergyRow

TOKEN_DIGITS = 3
GROUPED_BY = ", ".join(GROUPS)


def row(one: EnergyRow, group_by: Sequence[str]) -> dict[str, Any]:
    groups = {name: one.groups[name] for name in group_by}
    return {"window_start": instant(one.window_start), **groups, "label": one.label, **amounts(one.amounts)}


def amounts(one: Amounts) -> dict[str, Any]:
    return {
        "requests": one.requests,
        "prefill_tokens": round(one.prefill_tokens, TOKEN_DIGITS),
        "output_tokens": round(one.decode_tokens, TOKEN_DIGITS),
        "joules": plain(one.joules),
        "kwh": plain(one.kwh),
        "joules_per_output_token": one.joules_per_output_token,
        "energy_cost": _costs(one.energy_cost, one.kwh, one.unpriced_kwh),
        "unpriced_kwh": plain(one.unpriced_kwh),
        "gpu_hours": plain(one.gpu_hours),
        "gpu_cost": _costs(one.gpu_cost, one.gpu_hours, one.unpriced_gpu_hours),
        "unpriced_gpu_hours": plain(one.unpriced_gpu_hours),
        "co2_g": None if one.kwh and one.co2_unknown_kwh == one.kwh else plain(one.co2_g),
        "co2_unknown_kwh": plain(one.co2_unknown_kwh),
        "simulated": one.simulated,
    }


def _costs(costs: Mapping[str, Decimal], whole: Decimal, unpriced: Decimal) -> dict[str, str] | None:
    """null if nothing of it has a price: an amount that is not known is not zero."""
    if whole and unpriced == whole:
        return None
    return {currency: plain(amount) for currency, amount in costs.items()}


class _Amount(serializers.CharField):
    """A decimal number as text, without an exponent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"help_text": "decimal number, no exponent", **options})


class _Costs(serializers.DictField):
    def __init__(self, of: str) -> None:
        text = f"by currency, of what has a price; null if nothing of the {of} has one"
        super().__init__(child=serializers.CharField(), allow_null=True, help_text=text)


class EnergyAmountsShape(serializers.Serializer[Any]):
    requests = serializers.IntegerField(help_text="those that ended in the window")
    prefill_tokens = serializers.FloatField(help_text="prompt tokens that were computed in the window")
    output_tokens = serializers.FloatField(help_text="output tokens that were made in the window")
    joules = _Amount()
    kwh = _Amount()
    joules_per_output_token = serializers.FloatField(allow_null=True, help_text="null without output")
    energy_cost = _Costs("energy")
    unpriced_kwh = _Amount(help_text="of `kwh`, what has no price in any currency and is in no cost")
    gpu_hours = _Amount()
    gpu_cost = _Costs("GPU time")
    unpriced_gpu_hours = _Amount(help_text="of `gpu_hours`, likewise")
    co2_g = _Amount(allow_null=True, help_text="grams of CO2; null if no intensity is known for any of it")
    co2_unknown_kwh = _Amount(help_text="of `kwh`, what has no known intensity and is not in `co2_g`")
    simulated = serializers.BooleanField(help_text="some of it was made up by the simulator")


class EnergyRowShape(EnergyAmountsShape):
    """One window and combination of groups. The groups that were asked for stand beside `window_start`."""

    window_start = serializers.DateTimeField()
    tenant = serializers.CharField(required=False, allow_blank=True)
    model = serializers.CharField(required=False, allow_blank=True)
    tier = serializers.CharField(required=False, allow_blank=True)
    region = serializers.CharField(required=False, allow_blank=True)
    node = serializers.CharField(required=False, allow_blank=True)
    engine = serializers.CharField(required=False, allow_blank=True)
    label = serializers.ChoiceField(  # type: ignore[assignment]
        choices=["", *LABELS],
        help_text="of what belongs to no tenant: idle, or why it is unattributed: gap (in the samples), no_event (work that no event "
        "accounts for), aborted (the same while requests were aborted), no_engine (a GPU that no engine claims)",
    )


class EnergyShape(serializers.Serializer[Any]):
    data = EnergyRowShape(many=True)  # type: ignore[assignment]
    total = EnergyAmountsShape(help_text="all rows together, those of other pages too: what the counters say")
    to = serializers.DateTimeField(help_text="exclusive end of what was read")
    closed_until = serializers.DateTimeField(allow_null=True, help_text="energy before this is settled")
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")
