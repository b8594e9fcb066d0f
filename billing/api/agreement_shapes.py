"""Contracts and customers as the endpoints give them out, and their description for the OpenAPI document."""

from datetime import date
from typing import Any

from rest_framework import serializers

from billing.api.shapes import Money
from billing.contract_terms import ContractInfo, Revision
from billing.contracts import Period
from billing.customers import CustomerInfo
from billing.rating import plain
from billing.terms_json import terms_shown
from metering.public import instant

CONTRACT_COLUMNS = (
    "number",
    "tenant",
    "currency",
    "time_zone",
    "anchor_day",
    "starts_on",
    "ends_on",
    "state",
    "revision",
    "plan",
    "price_book",
    "commitment",
    "period_start",
    "period_end",
)
CUSTOMER_COLUMNS = (
    "tenant",
    "legal_name",
    "address_line1",
    "address_line2",
    "postal_code",
    "city",
    "state",
    "country",
    "tax_id",
    "tax_exempt",
    "emails",
    "buyer_reference",
    "payment_terms_days",
    "grace_hours",
    "collection",
)
SHARE = "a fraction: 0.1 for 10 %"


class FlatFeeShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    description = serializers.CharField()
    amount = Money(help_text="of a whole period")


class PercentageFeeShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    description = serializers.CharField()
    rate = Money(help_text=f"of what usage costs; {SHARE}")
    minimum = Money(help_text="of a whole period")


class AllowanceShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    model = serializers.CharField(help_text="* any")
    kind = serializers.CharField()
    tier = serializers.CharField(allow_blank=True, help_text="empty: any")
    quantity = Money(help_text="included in a whole period")


class DiscountShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    description = serializers.CharField()
    applies_to = serializers.ChoiceField(["usage", "fees", "all"])
    model = serializers.CharField(help_text="* any")
    share = Money(allow_null=True, help_text=SHARE)
    amount = Money(allow_null=True, help_text="of a whole period")


class ObjectiveShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    measure = serializers.ChoiceField(["ttft_p95_ms", "tpot_p95_ms", "availability"])
    model = serializers.CharField(help_text="* any")
    threshold = Money(help_text="ms not to exceed, or the least share of requests without an error")
    credit_share = Money(help_text=f"of what the usage cost; {SHARE}")
    least_requests = serializers.IntegerField()


class TermsShape(serializers.Serializer[Any]):
    plan = serializers.CharField(allow_blank=True)
    price_book = serializers.CharField(allow_blank=True, help_text="its prices come before the list's; empty: none")
    commitment = Money(help_text="the least that the usage of a whole period costs")
    flat_fees = FlatFeeShape(many=True)
    percentage_fees = PercentageFeeShape(many=True)
    allowances = AllowanceShape(many=True)
    discounts = DiscountShape(many=True, help_text="each off what those before it leave")
    objectives = ObjectiveShape(many=True)


class RevisionShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    effective_on = serializers.DateField(help_text="local")
    state = serializers.ChoiceField(["active", "paused", "ended"])
    created_at = serializers.DateTimeField()
    terms = TermsShape()


class ContractShape(serializers.Serializer[Any]):
    number = serializers.CharField()
    tenant = serializers.CharField()
    currency = serializers.CharField()
    time_zone = serializers.CharField(help_text="of its days and months")
    anchor_day = serializers.IntegerField(help_text="on which its months begin")
    starts_on = serializers.DateField(help_text="local")
    ends_on = serializers.DateField(allow_null=True, help_text="local, exclusive")
    state = serializers.ChoiceField(["waiting", "active", "paused", "ended"], help_text="today")
    revision = serializers.IntegerField(help_text="the newest, whether it holds yet or not")
    plan = serializers.CharField(allow_blank=True)
    price_book = serializers.CharField(allow_blank=True)
    commitment = Money()
    period_start = serializers.DateTimeField(allow_null=True, help_text="of the present period")
    period_end = serializers.DateTimeField(allow_null=True, help_text="exclusive")


class ContractsShape(serializers.Serializer[Any]):
    data = ContractShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


class ContractDetailShape(ContractShape):
    revisions = RevisionShape(
        many=True, help_text="by number; what holds on a day: the last by effective_on, then number"
    )


class CustomerShape(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    legal_name = serializers.CharField()
    address_line1 = serializers.CharField(allow_blank=True)
    address_line2 = serializers.CharField(allow_blank=True)
    postal_code = serializers.CharField(allow_blank=True)
    city = serializers.CharField(allow_blank=True)
    state = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True, help_text="ISO 3166-1 alpha-2")
    tax_id = serializers.CharField(allow_blank=True)
    tax_exempt = serializers.CharField(allow_blank=True, help_text="the reason; empty: not exempt")
    emails = serializers.ListField(child=serializers.EmailField(), help_text="where invoices go; one cell in CSV")
    buyer_reference = serializers.CharField(allow_blank=True)
    payment_terms_days = serializers.IntegerField()
    grace_hours = serializers.IntegerField(help_text="from a period's end until its invoice is made")
    collection = serializers.ChoiceField(["manual", "stripe_invoice", "stripe_payment", "stripe_meter"])


class CustomersShape(serializers.Serializer[Any]):
    data = CustomerShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


def contract_row(info: ContractInfo, today: date, period: Period | None) -> dict[str, Any]:
    """`today`: in the contract's zone. `period`: the one that holds this moment, None outside the contract."""
    held = info.holding_on(today)
    shown = held or info.course[0]
    return {
        "number": info.number,
        "tenant": info.tenant,
        "currency": info.currency,
        "time_zone": info.zone.key,
        "anchor_day": info.anchor_day,
        "starts_on": info.starts_on.isoformat(),
        "ends_on": info.ends_on.isoformat() if info.ends_on else None,
        "state": held.state if held else "waiting",
        "revision": info.latest,
        "plan": shown.terms.plan,
        "price_book": shown.terms.price_book,
        "commitment": plain(shown.terms.commitment),
        "period_start": instant(period.start) if period else None,
        "period_end": instant(period.end) if period else None,
    }


def revision_row(revision: Revision) -> dict[str, Any]:
    """Without the note and its author: those are the seller's."""
    return {
        "number": revision.number,
        "effective_on": revision.effective_on.isoformat(),
        "state": revision.state,
        "created_at": instant(revision.created_at),
        "terms": terms_shown(revision.terms),
    }


def customer_row(info: CustomerInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in CUSTOMER_COLUMNS} | {"emails": list(info.emails)}
