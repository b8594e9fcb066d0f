"""Runs that make invoices: started and resumed here, worked by a Celery worker, with their progress."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing import runs, tasks
from billing.admin.base import Asking, Shown, finished, refusals_shown
from billing.admin.fields import dressed
from billing.admin.office import site
from billing.admin.unfolded import action, display
from billing.models import InvoiceRun
from metering import public as metering

STATE_LABELS = {"running": "info", "done": "success", "failed": "danger"}
WAIT_S = 5.0  # for a host that still holds events: longer than this, a person should look


class RunForm(Asking):
    refusals = (ValueError, LookupError, metering.SealHeld)
    month = forms.CharField(
        required=False,
        max_length=7,
        help_text="such as 2026-10: its periods alone, whatever the customers' grace; empty: what is due now",
    )
    tenants = forms.CharField(required=False, help_text="keys, with commas between them; empty: all")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        keys = [key.strip() for key in values["tenants"].split(",") if key.strip()]
        if unknown := sorted(set(keys) - {each.key for each in metering.tenants()}):
            raise ValueError(f"there is no tenant {unknown[0]!r}")
        run = runs.plan_run(
            timezone.now(), keys or None, month=values["month"].strip(), actor=self.actor, wait_s=WAIT_S
        )
        tasks.work_run.delay(run.pk, self.actor)
        return f"Run {run.pk} has begun: this list shows how far it is."


class InvoiceRunAdmin(Shown):
    list_display = ("id", "cut_off", "shown_state", "progress", "invoices", "problem_count", "started_by", "started_at")
    list_filter = ("state", "started_at")
    ordering = ("-id",)
    actions_list = ("begin",)
    actions_detail = ("go_on",)
    fields = (
        "shown_state",
        "progress",
        "invoices",
        "shown_problems",
        "cut_off",
        "month",
        "tenants",
        "seal",
        "watermark",
        "price_versions",
        "started_by",
        "started_at",
        "heartbeat_at",
        "finished_at",
    )
    readonly_fields = fields

    class Media:
        js = ("billing/runs.js",)

    @display(description="state", ordering="state", label=STATE_LABELS)
    def shown_state(self, row: InvoiceRun) -> str:
        return row.state

    @display(description="progress")
    def progress(self, row: InvoiceRun) -> SafeString:
        bar = "<progress max='{}' value='{}' data-run-state='{}' aria-label='progress'></progress> {} of {}"
        return format_html(bar, row.due or 1, row.done, row.state, row.done, row.due)

    @display(description="problems")
    def problem_count(self, row: InvoiceRun) -> int:
        return len(row.problems)

    @display(description="problems")
    def shown_problems(self, row: InvoiceRun) -> SafeString | str:
        rows = ((one.get("tenant", ""), one.get("problem", "")) for one in row.problems)
        return format_html_join("", "<p><strong>{}</strong> {}</p>", rows) or "none"

    @action(
        description="New run",
        permissions=["act"],
        icon="play_arrow",
        dialog={
            "title": "Make invoices",
            "description": "Everything that was accepted until now is sealed, and what is due is finalised. It cannot be undone; "
            "a single invoice can be made void.",
            "form_class": RunForm,
            "form_submit_text": "Make them",
        },
    )
    def begin(self, request: HttpRequest, form: RunForm) -> HttpResponse:
        return finished(request, form.done)

    @action(description="Resume", permissions=["act"], icon="resume")
    def go_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        with refusals_shown(request):
            run = InvoiceRun.objects.get(pk=object_id)
            if run.state == InvoiceRun.State.DONE:
                messages.info(request, f"Run {run.pk} is done.")
            else:
                tasks.work_run.delay(run.pk, request.user.get_username())
                messages.success(request, f"Run {run.pk} goes on from where it stopped.")
        return redirect("admin:billing_invoicerun_change", object_id)


site.register(InvoiceRun, InvoiceRunAdmin)
