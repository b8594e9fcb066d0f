"""Credit: grants with what is left of them, the double-entry ledger, top-up rules."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Model, QuerySet, Sum
from django.http import HttpRequest, HttpResponse

from billing import credits, top_ups
from billing.admin.base import Asking, Shown, ShownInline, amount_of, finished, money
from billing.admin.fields import Lines, dressed
from billing.admin.office import site
from billing.admin.service_forms import Served, ServiceForm
from billing.admin.unfolded import action, display
from billing.models import CreditEntry, CreditGrant, CreditTransaction, TopUpRule
from metering import public as metering

KIND_LABELS = {"promotional": "info", "paid": "success", "carried": "warning"}


def _tenants() -> list[tuple[str, str]]:
    return [(each.key, f"{each.name} ({each.key}, {each.currency})") for each in metering.tenants()]


class GrantForm(Asking):
    tenant = forms.ChoiceField()
    kind = forms.ChoiceField(
        choices=[
            (CreditGrant.Kind.PROMOTIONAL, "promotional: lowers what is taxed"),
            (CreditGrant.Kind.PAID, "paid: pays what is due after tax"),
        ]
    )
    amount = forms.DecimalField(help_text="in the tenant's currency")
    name = forms.CharField(max_length=200)
    priority = forms.IntegerField(initial=50, min_value=0, help_text="the lowest burns first")
    expires_on = forms.DateField(
        required=False, help_text="first day (UTC) whose usage it does not cover; empty: never"
    )
    models_covered = Lines(label="models", help_text="promotional credit alone: one a line, empty for all")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].choices = _tenants()  # type: ignore[attr-defined]
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        day = values["expires_on"]
        made = credits.grant(
            tenant=values["tenant"],
            amount=values["amount"],
            kind=values["kind"],
            name=values["name"],
            actor=self.actor,
            priority=values["priority"],
            expires_at=datetime.combine(day, time(), UTC) if day else None,
            models_covered=values["models_covered"],
        )
        return f"{made.tenant} has {made.amount} {made.currency} of {made.kind} credit."


class RevokeForm(Asking):
    reason = forms.CharField(max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        gone = credits.revoke(int(self.object_id), values["reason"], self.actor)
        return f"{gone} is taken back."


class RefundForm(Asking):
    amount = forms.DecimalField(required=False, help_text="empty: all that is left")
    reason = forms.CharField(max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        gone = credits.refund_grant(int(self.object_id), values["amount"], values["reason"], self.actor)
        return f"{gone} left the credit and is to be paid back."


class EntryInline(ShownInline):
    model = CreditEntry
    verbose_name_plural = "entries"
    fields = ("transaction", "account", "amount")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditEntry]:
        return super().get_queryset(request).select_related("transaction")


class CreditGrantAdmin(Shown):
    list_display = ("name", "tenant", "shown_kind", "shown_amount", "left", "priority", "effective_from", "expires_at")
    list_filter = ("kind", "currency", "expires_at")
    search_fields = ("tenant", "name", "source")
    ordering = ("-id",)
    inlines = (EntryInline,)
    actions_list = ("give",)
    actions_detail = ("revoke", "refund")
    shown_amount = money("amount", "granted")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        rows: QuerySet[CreditGrant] = super().get_queryset(request).annotate(balance=Sum("entries__amount"))
        return rows

    @display(description="kind", ordering="kind", label=KIND_LABELS)
    def shown_kind(self, row: CreditGrant) -> str:
        return row.kind

    @display(description="left", ordering="balance")
    def left(self, row: Any) -> str:
        return amount_of(row.balance or Decimal(0), row.currency)

    @action(
        description="Grant credit",
        permissions=["act"],
        icon="redeem",
        dialog={
            "title": "Grant credit",
            "description": "What is given is never changed: it can be revoked (promotional) or refunded (paid).",
            "form_class": GrantForm,
            "form_submit_text": "Grant",
        },
    )
    def give(self, request: HttpRequest, form: GrantForm) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Revoke",
        permissions=["act"],
        dialog={
            "title": "Revoke",
            "description": "Takes back what is left of promotional credit.",
            "form_class": RevokeForm,
            "form_submit_text": "Revoke",
        },
    )
    def revoke(self, request: HttpRequest, form: RevokeForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Refund",
        permissions=["act"],
        dialog={
            "title": "Refund",
            "description": "Takes paid or carried credit out, to be paid back to the customer.",
            "form_class": RefundForm,
            "form_submit_text": "Refund",
        },
    )
    def refund(self, request: HttpRequest, form: RefundForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)


class CreditTransactionAdmin(Shown):
    list_display = ("at", "type", "tenant", "reference", "note", "created_by")
    list_filter = ("type", "currency", "at")
    search_fields = ("tenant", "reference", "note")
    ordering = ("-id",)
    inlines = (EntryInline,)


class TopUpRuleForm(ServiceForm):
    class Meta:
        model = TopUpRule
        fields = ("tenant", "threshold", "amount", "valid_days", "most_per_month", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tenant" in self.fields:
            self.fields["tenant"].widget.choices = _tenants()

    def serve(self, values: dict[str, Any]) -> Model:
        tenant = values.pop("tenant", "") or self.instance.tenant
        return top_ups.save_rule(tenant, actor=self.actor, **values)


class TopUpRuleAdmin(Served):
    form = TopUpRuleForm
    list_display = (
        "tenant",
        "currency",
        "threshold",
        "amount",
        "most_per_month",
        "valid_days",
        "enabled",
        "updated_at",
    )
    list_filter = ("enabled", "currency")
    search_fields = ("tenant",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("tenant",) if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "tenant":
            options["widget"] = forms.Select()
        return super().formfield_for_dbfield(db_field, request, **options)


site.register(CreditGrant, CreditGrantAdmin)
site.register(CreditTransaction, CreditTransactionAdmin)
site.register(TopUpRule, TopUpRuleAdmin)
