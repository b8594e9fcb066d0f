"""Objectives of service: what share of requests is to be fast enough, or not to fail. Metering's rows, written by its services."""

from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from billing import audit_log
from billing.admin.fields import Share
from billing.admin.office import FINANCE, OPERATOR, role, site
from billing.admin.service_forms import Served, ServiceForm
from billing.admin.unfolded import display
from metering import public as metering

# Django's admin wants the model itself; everything else about it is asked of metering.public.
Objective: Any = apps.get_model("metering", "Objective")
SELECTOR = ("region", "cluster", "model", "tenant", "tier")


class ObjectiveForm(ServiceForm):
    target = Share(help_text="percent of requests that are to be good, such as 99.5")

    class Meta:
        model = Objective
        fields = ("name", "measure", "threshold_ms", "target", "window_days", *SELECTOR)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SELECTOR:
            if name in self.fields:
                self.fields[name].help_text = "empty: all of them"
        if "threshold_ms" in self.fields:
            self.fields["threshold_ms"].help_text = "the most that a good request takes; empty for availability"

    def serve(self, values: dict[str, Any]) -> Model:
        name = values.pop("name", "") or self.instance.name
        if not self.instance.pk and Objective.objects.filter(name=name).exists():
            raise ValueError(f"There is an objective {name!r} already.")
        before = audit_log.snapshot(self.instance) if self.instance.pk else None
        metering.set_objective(name, **values)
        row: Model = Objective.objects.get(name=name)
        audit_log.record(self.actor, "set", row, before, audit_log.snapshot(row), address=self.address)
        return row


class ObjectiveAdmin(Served):
    """Operators and finance edit: whoever is on call sets what is watched."""

    form = ObjectiveForm
    list_display = ("name", "measure", "shown_threshold", "shown_target", "window_days", "scope")
    list_filter = ("measure",)
    search_fields = ("name", *SELECTOR)
    fieldsets = (
        (None, {"fields": ("name", ("measure", "threshold_ms"), ("target", "window_days"))}),
        ("Of these requests alone", {"fields": (("region", "cluster"), ("model", "tier"), "tenant")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name",) if obj else ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) in {FINANCE, OPERATOR}

    has_change_permission = has_delete_permission = has_add_permission

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        before = audit_log.snapshot(obj)
        metering.remove_objective(obj.name)
        address = request.META.get("REMOTE_ADDR")
        audit_log.record(str(request.user.get_username()), "remove", obj, before, None, address=address)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    @display(description="threshold", ordering="threshold_ms")
    def shown_threshold(self, row: Any) -> str:
        return "" if row.threshold_ms is None else f"{row.threshold_ms.normalize():f} ms"

    @display(description="target", ordering="target")
    def shown_target(self, row: Any) -> str:
        return f"{(row.target * 100).normalize():f} %"

    @display(description="of")
    def scope(self, row: Any) -> str:
        return ", ".join(f"{name} {value}" for name in SELECTOR if (value := getattr(row, name))) or "all requests"


site.register(Objective, ObjectiveAdmin)
