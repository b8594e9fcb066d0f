"""Objectives in the back office: operators and finance write them, and the audit log says who did."""

from decimal import Decimal

import pytest
from django.urls import reverse

from billing.models import AuditEntry
from metering import public as metering
from metering.models import Objective
from tests.dashboard.conftest import LogIn

pytestmark = pytest.mark.django_db
ADD = "admin:metering_objective_add"
FIELDS = {"name": "First token", "measure": "ttft_ms", "threshold_ms": "500", "target": "99.5", "window_days": "30"}


@pytest.mark.parametrize("role", ["operator", "finance"])
def test_an_objective_is_made_changed_and_removed(role: str, log_in: LogIn) -> None:
    client = log_in(role)
    assert client.get(reverse(ADD)).status_code == 200
    assert client.post(reverse(ADD), FIELDS | {"model": "llama"}).status_code == 302
    (made,) = metering.objectives()
    assert (made.name, made.target, made.scope.model) == ("First token", Decimal("0.995"), "llama")
    row = Objective.objects.get()
    page = reverse("admin:metering_objective_change", args=[row.pk])
    assert b"99.5" in client.get(page).content
    assert client.post(page, FIELDS | {"target": "98", "threshold_ms": "400"}).status_code == 302
    (changed,) = metering.objectives()
    assert (changed.target, changed.threshold_ms, changed.scope.model) == (Decimal("0.98"), Decimal(400), None)
    # Another definition is another count.
    assert Objective.objects.get().counts != row.counts
    delete = reverse("admin:metering_objective_delete", args=[row.pk])
    assert client.get(delete).status_code == 200
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert metering.objectives() == []
    entries = AuditEntry.objects.filter(object_type="objective").order_by("pk")
    assert [entry.action for entry in entries] == ["set", "set", "remove"]
    assert entries[1].before["threshold_ms"] == "500"


def test_what_the_service_refuses_stands_at_its_field(log_in: LogIn) -> None:
    client = log_in("operator")
    answer = client.post(reverse(ADD), FIELDS | {"threshold_ms": ""})
    assert b"A latency needs a threshold in ms." in answer.content
    metering.set_objective("First token", measure="error", target="0.9")
    answer = client.post(reverse(ADD), FIELDS)
    assert b"There is an objective" in answer.content
    assert metering.objectives()[0].measure == "error"


def test_customers_are_kept_out(log_in: LogIn) -> None:
    client = log_in("customer", metering.create_tenant("objectives-customer").key)
    assert client.get(reverse(ADD)).status_code == 403
    assert client.post(reverse(ADD), FIELDS).status_code == 403
    assert metering.objectives() == []
