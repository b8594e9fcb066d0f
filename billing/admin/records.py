"""What is only ever read: the audit log, Stripe's side, tax rates' history."""

import json
from typing import Any

from django.contrib.admin import EmptyFieldListFilter
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing.admin.base import Shown
from billing.admin.office import site
from billing.admin.unfolded import display
from billing.models import AuditEntry, StripeDifference, StripeEvent, StripeObject, StripeTask

SIDES = ("before", "after")
STRIPE_LABELS = {
    "waiting": "info",
    "received": "info",
    "done": "success",
    "processed": "success",
    "refused": "danger",
    "failed": "danger",
    "ignored": "",
}


class AuditEntryAdmin(Shown):
    list_display = ("at", "actor", "action", "object_type", "object_name", "changed")
    list_filter = ("action", "object_type", "at")
    search_fields = ("actor", "object_id", "object_name")
    fields = ("at", "actor", "address", "action", "object_type", "object_id", "object_name", "comparison")
    readonly_fields = fields

    @display(description="changed")
    def changed(self, row: AuditEntry) -> str:
        return ", ".join(_changed(row.before, row.after))[:120]

    @display(description="before and after")
    def comparison(self, row: AuditEntry) -> SafeString:
        names = _changed(row.before, row.after)
        before, after = row.before or {}, row.after or {}
        rows = format_html_join(
            "",
            "<tr><th scope='row' class='pr-4 text-left align-top font-medium'>{}</th>"
            "<td class='pr-4 align-top'>{}</td><td class='align-top'>{}</td></tr>",
            ((name, _text(before.get(name)), _text(after.get(name))) for name in names),
        )
        head = format_html("<tr><th></th><th class='pr-4 text-left'>{}</th><th class='text-left'>{}</th></tr>", *SIDES)
        return format_html("<table class='text-sm'>{}{}</table>", head, rows)


class StripeTaskAdmin(Shown):
    list_display = ("created_at", "action", "ours", "attempt", "shown_state", "tries", "next_at", "error")
    list_filter = ("state", "action")
    search_fields = ("ours", "error")
    ordering = ("-id",)

    @display(description="state", ordering="state", label=STRIPE_LABELS)
    def shown_state(self, row: StripeTask) -> str:
        return row.state


class StripeEventAdmin(Shown):
    list_display = ("received_at", "type", "stripe_id", "shown_state", "attempts", "error")
    list_filter = ("state", "type")
    search_fields = ("stripe_id", "type", "error")
    ordering = ("-id",)

    @display(description="state", ordering="state", label=STRIPE_LABELS)
    def shown_state(self, row: StripeEvent) -> str:
        return row.state


class StripeObjectAdmin(Shown):
    list_display = ("kind", "ours", "stripe_id", "status", "version", "updated_at")
    list_filter = ("kind", "status")
    search_fields = ("ours", "stripe_id")
    ordering = ("-id",)


class StripeDifferenceAdmin(Shown):
    list_display = ("found_at", "kind", "ours", "field", "our_value", "stripe_value", "closed_at")
    list_filter = ("kind", ("closed_at", EmptyFieldListFilter))
    search_fields = ("ours",)
    ordering = ("closed_at", "-id")


def _changed(before: Any, after: Any) -> list[str]:
    old, new = before or {}, after or {}
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


for _model, _page in (
    (AuditEntry, AuditEntryAdmin),
    (StripeTask, StripeTaskAdmin),
    (StripeEvent, StripeEventAdmin),
    (StripeObject, StripeObjectAdmin),
    (StripeDifference, StripeDifferenceAdmin),
):
    site.register(_model, _page)
