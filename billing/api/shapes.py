"""What the endpoints give out: the columns, their values, and their description for the OpenAPI document.

Money and prices are strings with all their digits; a JSON number would become a binary fraction in most readers.
"""

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from billing.contracts import CostRow, InvoiceLineInfo, InvoiceSummary
from billing.rating import plain
from metering.contracts import MEASURES

LINE_COLUMNS = (
    "line",
    "model",
    "tier",
    "kind",
    "period_start",
    "period_end",
    "quantity",
    "unit",
    "billed",
    "unit_price_per_million",
    "amount_exact",
    "amount",
    "residual",
    "tax_rate",
    "currency",
    "description",
)


def usage_columns(group_by: tuple[str, ...]) -> tuple[str, ...]:
    return ("window_start", *group_by, *MEASURES, "cost", "currency", "unpriced_tokens")


def usage_row(row: CostRow, group_by: tuple[str, ...]) -> dict[str, Any]:
    groups = {**row.groups, "tenant": row.tenant}
    return {
        "window_start": instant(row.window_start),
        **{name: groups[name] for name in group_by},
        **{name: getattr(row, name) for name in MEASURES},
        "cost": None if row.cost is None else plain(row.cost),
        "currency": row.currency,
        "unpriced_tokens": row.unpriced_tokens,
    }


def invoice_row(row: InvoiceSummary) -> dict[str, Any]:
    return {
        "number": row.number,
        "tenant": row.tenant,
        "period_start": instant(row.period_start),
        "period_end": instant(row.period_end),
        "currency": row.currency,
        "subtotal": format(row.subtotal, "f"),
        "tax": format(row.tax, "f"),
        "total": format(row.total, "f"),
        "status": row.status,
        "as_of": instant(row.as_of),
    }


def line_row(row: InvoiceLineInfo, currency: str) -> dict[str, Any]:
    return {
        "line": row.position,
        "model": row.model,
        "tier": row.tier,
        "kind": row.kind,
        "period_start": instant(row.start),
        "period_end": instant(row.end),
        "quantity": row.quantity,
        "unit": "tokens",
        "billed": row.billed,
        "unit_price_per_million": None if row.per_million is None else plain(row.per_million),
        "amount_exact": plain(row.amount_exact),
        "amount": format(row.amount, "f"),
        "residual": plain(row.residual),
        "tax_rate": plain(row.tax_rate),
        "currency": currency,
        "description": row.explanation,
    }


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with a Z; the fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Money(serializers.CharField):
    """A decimal number as text, without an exponent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"help_text": "decimal number, no exponent", **options})


class UsageRowShape(serializers.Serializer[Any]):
    """One window and combination of groups. The groups that were asked for stand beside `window_start`."""

    window_start = serializers.DateTimeField()
    tenant = serializers.CharField(required=False)
    project = serializers.CharField(required=False)
    api_key_id = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    operation = serializers.CharField(required=False)
    tier = serializers.CharField(required=False)
    region = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    context_band = serializers.IntegerField(required=False, help_text="upper edge in tokens; 4294967295 above the last")
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField(help_text="cached reads and cache writes included")
    cached_input_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="reasoning included")
    reasoning_tokens = serializers.IntegerField()
    cost = Money(allow_null=True, help_text="unrounded; null if some of the usage has no price")
    currency = serializers.CharField()
    unpriced_tokens = serializers.IntegerField(help_text="tokens without a price in this currency; then cost is null")


class UsageShape(serializers.Serializer[Any]):
    data = UsageRowShape(many=True)  # type: ignore[assignment]
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


class InvoiceShape(serializers.Serializer[Any]):
    number = serializers.CharField()
    tenant = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField(help_text="exclusive")
    currency = serializers.CharField()
    subtotal = Money()
    tax = Money()
    total = Money()
    status = serializers.CharField()
    as_of = serializers.DateTimeField(help_text="what had arrived before this moment is billed")


class InvoicesShape(serializers.Serializer[Any]):
    data = InvoiceShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)


class LineShape(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    model = serializers.CharField()
    tier = serializers.CharField()
    kind = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    quantity = serializers.IntegerField()
    unit = serializers.CharField()
    billed = serializers.BooleanField(help_text="false: requests that failed; metered, charged nothing")
    unit_price_per_million = Money(allow_null=True)
    amount_exact = Money(help_text="amount + residual")
    amount = Money(help_text="rounded half-even to the currency's minor unit")
    residual = Money()
    tax_rate = Money(help_text="a fraction: 0.19 for 19 %")
    currency = serializers.CharField()
    description = serializers.CharField()


class LinesShape(serializers.Serializer[Any]):
    data = LineShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)
