"""Invoices, their history, payments and credit notes."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.admin.base import Shown, ShownInline, amount_of, finished, money
from billing.admin.invoice_forms import CreditNoteForm, PaymentForm, ReissueForm, UncollectibleForm, VoidForm
from billing.admin.office import site
from billing.admin.unfolded import action, display
from billing.models import (
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceEvent,
    InvoiceLine,
    InvoiceState,
    Payment,
    Refund,
)

STATUS_LABELS = {
    InvoiceState.Status.OPEN: "info",
    InvoiceState.Status.PAID: "success",
    InvoiceState.Status.PAST_DUE: "danger",
    InvoiceState.Status.VOID: "",
    InvoiceState.Status.UNCOLLECTIBLE: "warning",
}


class LineInline(ShownInline):
    model = InvoiceLine
    fk_name = "invoice"
    verbose_name_plural = "lines"
    fields = ("position", "type", "explanation", "quantity", "amount", "residual", "tax_rate")
    readonly_fields = fields
    per_page = 50


class EventInline(ShownInline):
    model = InvoiceEvent
    verbose_name_plural = "history"
    fields = ("at", "type", "actor", "detail")
    readonly_fields = fields


class PaymentInline(ShownInline):
    model = Payment
    fields = ("received_at", "method", "amount", "reference", "recorded_by")
    readonly_fields = fields


class CreditNoteInline(ShownInline):
    model = CreditNote
    verbose_name_plural = "credit notes"
    fields = ("number", "reason", "disposition", "total", "issued_on", "created_by")
    readonly_fields = fields


class InvoiceAdmin(Shown):
    list_display = ("number", "tenant", "kind", "period", "shown_total", "shown_due", "status", "due_on")
    list_filter = ("state__status", "kind", "currency", "issued_on")
    list_select_related = ("state",)
    search_fields = ("number", "tenant", "contract")
    ordering = ("-id",)
    inlines = (LineInline, EventInline, PaymentInline, CreditNoteInline)
    actions_detail = ("pdf", "record_payment", "credit_note", "void", "reissue", "give_up")
    fieldsets = (
        (None, {"fields": ("number", "tenant", "status", "period", "contract", "issued_on", "due_on", "replaces")}),
        (
            "Amounts",
            {"fields": ("shown_subtotal", "shown_tax", "shown_total", "shown_credits", "shown_due", "shown_settled")},
        ),
        (
            "What reproduces it",
            {
                "fields": (
                    "seal",
                    "watermark",
                    "price_versions",
                    "rating_version",
                    "contract_revision",
                    "digest",
                    "usage_leaves",
                    "run",
                ),
                "classes": ["tab"],
            },
        ),
        ("Parties and tax", {"fields": ("seller", "buyer", "tax_category", "tax_note"), "classes": ["tab"]}),
    )
    shown_total = money("total")
    shown_subtotal = money("subtotal")
    shown_tax = money("tax")
    shown_credits = money("credits_applied", "prepaid credit applied")
    shown_due = money("amount_due", "due")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        return super().get_queryset(request).filter(finalised_at__isnull=False).select_related("state")

    @display(description="status", ordering="state__status", label=STATUS_LABELS)
    def status(self, row: Invoice) -> str:
        return row.state.status

    @display(description="paid, and taken back")
    def shown_settled(self, row: Invoice) -> str:
        return f"{amount_of(row.state.paid, row.currency)}, {amount_of(row.state.credited, row.currency)}"

    @display(description="digest of its requests")
    def digest(self, row: Invoice) -> SafeString:
        return format_html("<code style='overflow-wrap: anywhere'>{}</code>", row.usage_root or "none")

    @display(description="period", ordering="period_start")
    def period(self, row: Invoice) -> str:
        return f"{row.period_start:%Y-%m-%d} to {row.period_end:%Y-%m-%d}"

    @action(description="PDF", permissions=["view"], icon="picture_as_pdf")
    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("invoice-pdf", Invoice.objects.get(pk=object_id).number)

    @action(
        description="Record payment",
        permissions=["act"],
        dialog={
            "title": "Record a payment",
            "description": "Money that arrived by bank. What Stripe collects is recorded by itself.",
            "form_class": PaymentForm,
            "form_submit_text": "Record",
        },
    )
    def record_payment(self, request: HttpRequest, form: PaymentForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Credit note",
        permissions=["act"],
        dialog={
            "title": "Issue a credit note",
            "description": "Takes the invoice back in part or whole. It cannot be undone; tax goes back in proportion.",
            "form_class": CreditNoteForm,
            "form_submit_text": "Issue",
        },
    )
    def credit_note(self, request: HttpRequest, form: CreditNoteForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Void",
        permissions=["act"],
        dialog={
            "title": "Void the invoice",
            "description": "Nothing is due on it any more. Its number stays, and the credit that it used is free again.",
            "form_class": VoidForm,
            "form_submit_text": "Void",
        },
    )
    def void(self, request: HttpRequest, form: VoidForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Reissue",
        permissions=["act"],
        dialog={
            "title": "Reissue",
            "description": "Bills the period of a void invoice anew, with what is known and agreed now.",
            "form_class": ReissueForm,
            "form_submit_text": "Reissue",
        },
    )
    def reissue(self, request: HttpRequest, form: ReissueForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)

    @action(
        description="Give up",
        permissions=["act"],
        dialog={
            "title": "Mark as uncollectible",
            "description": "The debt is given up. A payment that comes after all still makes it paid.",
            "form_class": UncollectibleForm,
            "form_submit_text": "Give up",
        },
    )
    def give_up(self, request: HttpRequest, form: UncollectibleForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)


class CreditNoteLineInline(ShownInline):
    model = CreditNoteLine
    fields = ("line", "explanation", "amount", "tax_rate")
    readonly_fields = fields


class CreditNoteAdmin(Shown):
    list_display = ("number", "invoice", "disposition", "total", "reason", "issued_on", "created_by")
    list_filter = ("disposition", "issued_on")
    list_select_related = ("invoice",)
    search_fields = ("number", "invoice__number", "invoice__tenant", "reason")
    ordering = ("-id",)
    inlines = (CreditNoteLineInline,)


class PaymentAdmin(Shown):
    list_display = ("received_at", "invoice", "method", "amount", "reference", "recorded_by")
    list_filter = ("method", "received_at")
    list_select_related = ("invoice",)
    search_fields = ("invoice__number", "invoice__tenant", "reference")
    ordering = ("-id",)


class RefundAdmin(Shown):
    list_display = ("created_at", "payment", "amount", "reason", "note", "created_by")
    list_select_related = ("payment__invoice", "note")
    search_fields = ("payment__invoice__number", "reason")
    ordering = ("-id",)


def register() -> None:
    pages: dict[type[Any], type[Shown]] = {
        Invoice: InvoiceAdmin,
        CreditNote: CreditNoteAdmin,
        Payment: PaymentAdmin,
        Refund: RefundAdmin,
    }
    for model, page in pages.items():
        site.register(model, page)


register()
