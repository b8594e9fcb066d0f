"""What `GET /api/v1/margin` gives out, and its description for the OpenAPI document. Amounts are strings with all their digits.

In JSON a row lists its amounts by currency. A line of CSV has one currency, so a row in two currencies is two lines there; what is
not money stands on the first of them alone, so that columns add up.
"""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.api.shapes import Money
from billing.contracts import MarginAmounts, MarginGap, MarginRow
from billing.rating import plain
from metering.public import instant

SIDES = ("revenue", "energy_cost", "gpu_cost")
QUANTITIES = ("requests", "measured_requests", "unpriced_tokens", "energy_kwh", "gpu_hours")
JOULES_PER_KWH = 3_600_000
SECONDS_PER_HOUR = 3600


def columns(group_by: tuple[str, ...]) -> tuple[str, ...]:
    """Of CSV."""
    return (
        "window_start",
        *group_by,
        "label",
        *QUANTITIES,
        "currency",
        *SIDES,
        "margin",
        "margin_share",
        "gaps",
        "simulated",
    )


def json_row(row: MarginRow, group_by: tuple[str, ...]) -> dict[str, Any]:
    return {
        **_head(row, group_by),
        **_quantities(row),
        "amounts": [{"currency": one.currency, **_sides(one)} for one in row.amounts],
        "margin": _text(row.margin),
        "margin_share": _text(row.margin_share),
        "gaps": [gap.value for gap in row.gaps],
        "simulated": row.simulated,
    }


def csv_lines(row: MarginRow, group_by: tuple[str, ...]) -> list[dict[str, Any]]:
    first: dict[str, Any] = _quantities(row)
    blank: dict[str, Any] = dict.fromkeys(first)
    amounts: tuple[MarginAmounts | None, ...] = row.amounts or (None,)
    return [
        {
            **_head(row, group_by),
            **(blank if position else first),
            "currency": one.currency if one else None,
            **(_sides(one) if one else dict.fromkeys(SIDES)),
            "margin": _text(row.margin),  # of a row with one currency only, so never on two lines
            "margin_share": _text(row.margin_share),
            "gaps": " ".join(row.gaps),
            "simulated": row.simulated,
        }
        for position, one in enumerate(amounts)
    ]


def _head(row: MarginRow, group_by: tuple[str, ...]) -> dict[str, Any]:
    return {
        "window_start": instant(row.window_start),
        **{name: getattr(row, name) for name in group_by},
        "label": row.label,
    }


def _quantities(row: MarginRow) -> dict[str, Any]:
    return {
        "requests": row.requests,
        "measured_requests": row.measured_requests,
        "unpriced_tokens": row.unpriced_tokens,
        "energy_kwh": f"{row.energy_j / JOULES_PER_KWH:.9f}",
        "gpu_hours": f"{row.gpu_s / SECONDS_PER_HOUR:.6f}",
    }


def _sides(one: MarginAmounts) -> dict[str, str | None]:
    return {name: _text(getattr(one, name)) for name in SIDES}


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


class AmountsShape(serializers.Serializer[Any]):
    """null: a part of the amount is not known."""

    currency = serializers.CharField()
    revenue = Money(allow_null=True, help_text="unrounded, as in /api/v1/usage")
    energy_cost = Money(allow_null=True)
    gpu_cost = Money(allow_null=True)


class MarginRowShape(serializers.Serializer[Any]):
    """One window and combination of groups. The groups that were asked for stand beside `window_start`."""

    window_start = serializers.DateTimeField()
    tenant = serializers.CharField(required=False, allow_blank=True)
    model = serializers.CharField(required=False, allow_blank=True)
    label = serializers.CharField(  # type: ignore[assignment]
        allow_blank=True, help_text="of cost that is nobody's: idle, or unattributed by its cause; else empty"
    )
    requests = serializers.IntegerField()
    measured_requests = serializers.IntegerField(help_text="those of them whose energy is known")
    unpriced_tokens = serializers.IntegerField(help_text="tokens without a price; then revenue is null")
    energy_kwh = Money()
    gpu_hours = Money()
    amounts = AmountsShape(many=True)
    margin = Money(allow_null=True, help_text="revenue - energy_cost - gpu_cost; null if `gaps` is not empty")
    margin_share = Money(allow_null=True, help_text="margin over revenue; null without revenue")
    gaps = serializers.ListField(
        child=serializers.ChoiceField([gap.value for gap in MarginGap]), help_text="why margin is null"
    )
    simulated = serializers.BooleanField(help_text="some of the energy was made up by the simulator")


class MarginShape(serializers.Serializer[Any]):
    data = MarginRowShape(many=True)  # type: ignore[assignment]
    total = MarginRowShape(help_text="all rows together, those of other pages too")
    to = serializers.DateTimeField(help_text="exclusive end of what was read")
    closed_until = serializers.DateTimeField(allow_null=True, help_text="energy before this is settled")
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")
