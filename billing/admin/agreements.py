"""Customers, contracts with their revisions, the seller, tax rates."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSingleDateWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing import agreements, tax_rates
from billing.admin import contract_pages
from billing.admin.base import Asking, Shown, ShownInline, finished
from billing.admin.fields import Lines, Share
from billing.admin.office import site
from billing.admin.service_forms import Served, ServiceForm
from billing.admin.unfolded import action, display
from billing.models import Contract, ContractRevision, Customer, Seller, TaxRate
from metering import public as metering

STATE_LABELS = {"active": "success", "paused": "warning", "ended": ""}


class CustomerForm(ServiceForm):
    emails = Lines(help_text="where invoices and reminders go, one a line")

    class Meta:
        model = Customer
        exclude = ("stripe_customer", "stripe_payment_method")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tenant" in self.fields:
            taken = set(Customer.objects.values_list("tenant", flat=True))
            free = [(each.key, f"{each.name} ({each.key})") for each in metering.tenants() if each.key not in taken]
            self.fields["tenant"].widget.choices = free

    def serve(self, values: dict[str, Any]) -> Model:
        tenant = values.pop("tenant", "") or self.instance.tenant
        return agreements.save_customer(tenant, actor=self.actor, address=self.address, **values)


class CustomerAdmin(Served):
    form = CustomerForm
    list_display = ("tenant", "legal_name", "country", "tax_id", "collection", "payment_terms_days", "grace_hours")
    list_filter = ("collection", "country")
    search_fields = ("tenant", "legal_name", "tax_id")
    fieldsets = (
        (None, {"fields": ("tenant", "legal_name", "emails", "buyer_reference")}),
        (
            "Address",
            {"fields": (("address_line1", "address_line2"), ("postal_code", "city"), ("state", "country"))},
        ),
        ("Tax", {"fields": (("tax_id", "tax_exempt"),)}),
        ("Payment", {"fields": (("payment_terms_days", "grace_hours"), "collection")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("tenant",) if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "tenant":
            options["widget"] = forms.Select()
        return super().formfield_for_dbfield(db_field, request, **options)


class SellerForm(ServiceForm):
    class Meta:
        model = Seller
        fields = "__all__"
        widgets: ClassVar[dict[str, Any]] = {"logo": UnfoldAdminTextareaWidget()}

    def serve(self, values: dict[str, Any]) -> Model:
        return agreements.save_seller(actor=self.actor, address=self.address, **values)


class SellerAdmin(Served):
    form = SellerForm
    list_display = ("name", "country", "tax_id", "iban", "email")
    fieldsets = (
        (None, {"fields": ("name", ("tax_id", "registration"), ("email", "phone"))}),
        ("Address", {"fields": (("address_line1", "address_line2"), ("postal_code", "city"), "country")}),
        ("Bank", {"fields": (("iban", "bic"), "bank")}),
        ("Logo", {"fields": ("logo",), "description": "an SVG, as text"}),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request) and not Seller.objects.exists()


class DayForm(Asking):
    """A day and a reason, for what happens to a contract on it."""

    on = forms.DateField(label="from this day on", widget=UnfoldAdminSingleDateWidget)
    note = forms.CharField(max_length=500, label="why", widget=UnfoldAdminTextInputWidget)
    service: ClassVar[Callable[..., Any]]
    done_text: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["on"].initial = timezone.localdate()

    def act(self, values: dict[str, Any]) -> str:
        number = Contract.objects.get(pk=self.object_id).number
        type(self).service(number, on=values["on"], actor=self.actor, note=values["note"], address=self.address)
        return f"{number} {self.done_text} {values['on']} on."


class PauseForm(DayForm):
    service = staticmethod(agreements.pause)
    done_text = "is paused from"


class ResumeForm(DayForm):
    service = staticmethod(agreements.resume)
    done_text = "goes on from"


class EndForm(DayForm):
    service = staticmethod(agreements.end)
    done_text = "is over from"


class RevisionInline(ShownInline):
    model = ContractRevision
    verbose_name_plural = "revisions"
    fields = (
        "number",
        "effective_on",
        "shown_state",
        "plan",
        "price_book",
        "commitment",
        "parts",
        "note",
        "created_by",
    )
    readonly_fields = fields
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContractRevision]:
        parts = ("flat_fees", "percentage_fees", "allowances", "discounts", "objectives")
        return super().get_queryset(request).prefetch_related(*parts)

    @display(description="state", label=STATE_LABELS)
    def shown_state(self, row: ContractRevision) -> str:
        return row.state

    @display(description="fees, allowances, discounts, objectives")
    def parts(self, row: ContractRevision) -> str:
        groups = (row.flat_fees, row.percentage_fees, row.allowances, row.discounts, row.objectives)
        return "; ".join(str(part) for group in groups for part in group.all()) or "none"


class ContractAdmin(Shown):
    list_display = ("number", "tenant", "currency", "time_zone", "anchor_day", "starts_on", "revision_count")
    list_filter = ("currency",)
    search_fields = ("number", "tenant")
    inlines = (RevisionInline,)
    actions_list = ("make",)
    actions_detail = ("change_terms", "pause", "resume", "end")

    def get_urls(self) -> Any:
        own = [
            path("make/", self.admin_site.admin_view(contract_pages.add), name="billing_contract_make"),
            path(
                "<object_id>/terms/", self.admin_site.admin_view(contract_pages.change), name="billing_contract_terms"
            ),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contract]:
        rows: QuerySet[Contract] = super().get_queryset(request).annotate(counted=Count("revisions"))
        return rows

    @display(description="revisions", ordering="counted")
    def revision_count(self, row: Any) -> int:
        return int(row.counted)

    @action(description="New contract", permissions=["act"], icon="add")
    def make(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:billing_contract_make")

    @action(description="Change terms", permissions=["act"], icon="edit")
    def change_terms(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(reverse("admin:billing_contract_terms", args=[object_id]))

    @action(
        description="Pause",
        permissions=["act"],
        dialog={
            "title": "Pause the contract",
            "description": "Usage is billed; fees, allowances and commitment are not.",
            "form_class": PauseForm,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: PauseForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Resume",
        permissions=["act"],
        dialog={
            "title": "Resume the contract",
            "description": "Everything that was agreed is charged again.",
            "form_class": ResumeForm,
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: ResumeForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="End",
        permissions=["act"],
        dialog={
            "title": "End the contract",
            "description": "The day is the first that is not in the contract any more; its last period ends there.",
            "form_class": EndForm,
            "form_submit_text": "End",
        },
    )
    def end(self, request: HttpRequest, form: EndForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)


class TaxRateForm(ServiceForm):
    rate = Share()

    class Meta:
        model = TaxRate
        fields = ("country", "name", "rate", "effective_from")

    def serve(self, values: dict[str, Any]) -> Model:
        return tax_rates.set_tax_rate(actor=self.actor, address=self.address, **values)


class TaxRateAdmin(Served):
    """Rates over the table that is shipped. They are added, never changed."""

    form = TaxRateForm
    list_display = ("country", "name", "rate", "effective_from", "created_at")
    list_filter = ("country",)
    ordering = ("country", "-effective_from")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


site.register(Customer, CustomerAdmin)
site.register(Contract, ContractAdmin)
site.register(Seller, SellerAdmin)
site.register(TaxRate, TaxRateAdmin)
