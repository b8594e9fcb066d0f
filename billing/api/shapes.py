"""What the endpoints give out: the columns, their values, and their description for the OpenAPI document.

Money and prices are strings with all their digits; a JSON number would become a binary fraction in most readers.
"""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.contracts import CostRow, CreditNoteInfo, DraftInfo, Forecast, InvoiceLineInfo, InvoiceSummary
from billing.rating import plain
from metering.contracts import MEASURES
from metering.public import instant

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
    "type",
    "operation",
    "region",
    "context_over",
    "included",
    "charge_model",
    "unit_price",
    "per",
    "adjusts",
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
        "kind": row.kind,
        "issued_on": row.issued_on.isoformat(),
        "due_on": row.due_on.isoformat(),
        "credits_applied": format(row.credits_applied, "f"),
        "amount_due": format(row.amount_due, "f"),
        "paid": format(row.paid, "f"),
        "credited": format(row.credited, "f"),
        "outstanding": format(row.outstanding, "f"),
    }


def line_row(row: InvoiceLineInfo, currency: str) -> dict[str, Any]:
    return {
        "line": row.position,
        "model": row.model,
        "tier": row.tier,
        "kind": row.kind,
        "period_start": instant(row.start),
        "period_end": instant(row.end),
        "quantity": quantity(row.quantity),
        "unit": row.unit,
        "billed": row.billed,
        "unit_price_per_million": None if row.per_million is None else plain(row.per_million),
        "amount_exact": plain(row.amount_exact),
        "amount": format(row.amount, "f"),
        "residual": plain(row.residual),
        "tax_rate": plain(row.tax_rate),
        "currency": currency,
        "description": row.explanation,
        "type": row.type,
        "operation": row.operation,
        "region": row.region,
        "context_over": row.context_over,
        "included": quantity(row.included),
        "charge_model": row.charge_model,
        "unit_price": None if row.unit_amount is None else plain(row.unit_amount),
        "per": row.per,
        "adjusts": row.adjusts,
    }


def quantity(value: Decimal) -> int | str:
    """Tokens and requests are whole; what a meter measures need not be, and is text then, with all its digits."""
    return int(value) if value == value.to_integral_value() else plain(value)


def credit_note_row(row: CreditNoteInfo) -> dict[str, Any]:
    return {
        "number": row.number,
        "invoice": row.invoice,
        "tenant": row.tenant,
        "currency": row.currency,
        "issued_on": row.issued_on.isoformat(),
        "subtotal": format(row.subtotal, "f"),
        "tax": format(row.tax, "f"),
        "total": format(row.total, "f"),
        "disposition": row.disposition,
        "reason": row.reason,
    }


def draft_row(row: DraftInfo) -> dict[str, Any]:
    amounts = ("subtotal", "tax", "total", "credits", "amount_due")
    return {
        "tenant": row.tenant,
        "currency": row.currency,
        "period_start": instant(row.period_start),
        "period_end": instant(row.period_end),
        "time_zone": row.time_zone,
        "contract": row.contract,
        "as_of": instant(row.as_of),
        **{name: format(getattr(row, name), "f") for name in amounts},
        "lines": [line_row(line, row.currency) for line in row.lines],
        "problems": list(row.problems),
        "forecast": None if row.forecast is None else _forecast(row.forecast),
    }


def _forecast(row: Forecast) -> dict[str, Any]:
    amounts = ("subtotal", "total", "low", "high")
    return {
        **{name: format(getattr(row, name), "f") for name in amounts},
        "days_observed": row.days_observed,
        "days_left": plain(row.days_left),
        "method": row.method,
    }


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
    status = serializers.CharField(help_text="open, paid, past_due, void or uncollectible")
    as_of = serializers.DateTimeField(help_text="what had arrived before this moment is billed")
    kind = serializers.CharField(help_text="usage, or top_up: credit that is bought")
    issued_on = serializers.DateField()
    due_on = serializers.DateField()
    credits_applied = Money(help_text="prepaid credit that pays for it; below zero: the total, carried over to credit")
    amount_due = Money(help_text="total - credits_applied")
    paid = Money()
    credited = Money(help_text="by credit notes that reduce what is due")
    outstanding = Money()


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
    quantity = serializers.IntegerField(help_text="a decimal string where a meter measures fractions")
    unit = serializers.CharField()
    billed = serializers.BooleanField(help_text="false: requests that failed; metered, charged nothing")
    unit_price_per_million = Money(allow_null=True)
    amount_exact = Money(help_text="amount + residual")
    amount = Money(help_text="rounded half-even to the currency's minor unit")
    residual = Money()
    tax_rate = Money(help_text="a fraction: 0.19 for 19 %")
    currency = serializers.CharField()
    description = serializers.CharField()
    type = serializers.CharField(
        help_text="usage, flat_fee, percentage_fee, discount, commitment, adjustment, credit, ..."
    )
    operation = serializers.CharField(allow_blank=True)
    region = serializers.CharField(allow_blank=True)
    context_over = serializers.IntegerField(help_text="of requests with more input tokens than this; 0: of any")
    included = serializers.IntegerField(help_text="the part of quantity that an allowance covered")
    charge_model = serializers.CharField(allow_blank=True)
    unit_price = Money(allow_null=True, help_text="for every `per` units; null where no single price says it")
    per = serializers.IntegerField()
    adjusts = serializers.CharField(allow_blank=True, help_text="the invoice whose late usage this is")


class LinesShape(serializers.Serializer[Any]):
    data = LineShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)


class ForecastShape(serializers.Serializer[Any]):
    subtotal = Money()
    total = Money(help_text="expected for the whole period, tax included, before credit")
    low = Money(help_text="as if every day left were like the cheapest of those observed")
    high = Money(help_text="the same with the dearest")
    days_observed = serializers.IntegerField()
    days_left = Money()
    method = serializers.CharField()


class DraftShape(serializers.Serializer[Any]):
    """What the invoice of this period would say at this moment. Nothing of it is final."""

    tenant = serializers.CharField()
    currency = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField(help_text="exclusive")
    time_zone = serializers.CharField()
    contract = serializers.CharField(allow_blank=True)
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    subtotal = Money()
    tax = Money()
    total = Money()
    credits = Money(help_text="prepaid credit that would pay for it now")
    amount_due = Money()
    lines = LineShape(many=True)
    problems = serializers.ListField(child=serializers.CharField(), help_text="what keeps it from being finalised")
    forecast = ForecastShape(allow_null=True)


class CreditNoteShape(serializers.Serializer[Any]):
    number = serializers.CharField()
    invoice = serializers.CharField()
    tenant = serializers.CharField()
    currency = serializers.CharField()
    issued_on = serializers.DateField()
    subtotal = Money()
    tax = Money()
    total = Money(help_text="positive: what is taken back")
    disposition = serializers.CharField(help_text="reduce, refund or credit")
    reason = serializers.CharField()


class CreditNotesShape(serializers.Serializer[Any]):
    data = CreditNoteShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)
