"""Who may open what: every page, by every role, and another tenant's objects."""

import uuid
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from dashboard import urls
from dashboard.operator.shelf import SHELF
from metering.contracts import TenantInfo
from metering.models import AlertChannel, AlertRule, QuarantineDecision
from metering.moments import milliseconds
from tests.dashboard.conftest import LogIn
from tests.dashboard.price_previews import put_preview
from tests.dashboard.test_documents import CUSTOMERS, STAFFS
from tests.metering.quarantined import put
from tests.metering.rows import NOON, request_key
from tests.metering.telemetry.sample_rows import insert_engines, insert_gpus

STAFF = {"operator", "finance"}
ROLES_OF = {
    "operator-overview": {"operator"},
    "operator-live": {"operator"},
    "operator-search": {"operator"},
    "operator-ingest": {"operator"},
    "operator-quarantine": {"operator"},
    "operator-quarantine-live": {"operator"},
    "operator-quarantine-entry": {"operator"},
    "operator-quarantine-replay": {"operator"},
    "operator-quarantine-discard": {"operator"},
    "operator-alerts": {"operator"},
    "operator-alert-new": {"operator"},
    "operator-alert-rule": {"operator"},
    "operator-alert-edit": {"operator"},
    "operator-alert-delete": {"operator"},
    "operator-alert-enable": {"operator"},
    "operator-alert-acknowledge": {"operator"},
    "operator-alert-silence": {"operator"},
    "operator-alert-silence-end": {"operator"},
    "operator-alert-channels": {"operator"},
    "operator-alert-channel-delete": {"operator"},
    "operator-alert-channel-edit": {"operator"},
    "operator-alert-channel-enable": {"operator"},
    "operator-alert-channel-test": {"operator"},
    "operator-alert-notice-again": {"operator"},
    "operator-annotations": {"operator"},
    "operator-annotation-withdraw": {"operator"},
    "operator-fleet": {"operator"},
    "operator-gpus": {"operator"},
    "operator-gpu": {"operator"},
    "operator-engines": {"operator"},
    "operator-engine": {"operator"},
    "operator-energy": {"operator"},
    "operator-tenants": {"operator"},
    "operator-latency": {"operator"},
    "operator-latency-request": {"operator"},
    "operator-tenant": {"operator"},
    "operator-capacity": {"operator"},
    "operator-leakage": {"operator"},
    "margin": STAFF,
    "margin-csv": STAFF,
    "prices": STAFF,
    "price-book": STAFF,
    "price-explain": STAFF,
    "price-preview": STAFF,
    "price-preview-result": STAFF,
    "price-preview-csv": STAFF,
    "customers": STAFF,
    "customer": STAFF,
    "customer-csv": STAFF,
    "customer-draft": STAFF,
    "customer-credits": STAFF,
    "customer-credits-csv": STAFF,
    "credits": STAFF,
    "invoices": STAFF,
    "invoices-csv": STAFF,
    "invoice": STAFF,
    "invoice-line": STAFF,
    "invoice-proof": STAFF,
    "portal": {"customer"},
    "portal-csv": {"customer"},
    "portal-draft": {"customer"},
    "portal-credits": {"customer"},
    "portal-credits-csv": {"customer"},
    "portal-prices": {"customer"},
    "portal-price-explain": {"customer"},
    "portal-invoices": {"customer"},
    "portal-invoices-csv": {"customer"},
    "portal-invoice": {"customer"},
    "portal-invoice-line": {"customer"},
    "portal-invoice-proof": {"customer"},
}
# Buttons and forms of the page of alerts: nothing to look at.
POST_ONLY = {
    "operator-alert-delete",
    "operator-alert-enable",
    "operator-alert-acknowledge",
    "operator-alert-silence",
    "operator-alert-silence-end",
    "operator-alert-channels",
    "operator-alert-channel-delete",
    "operator-alert-channel-enable",
    "operator-alert-channel-test",
    "operator-alert-notice-again",
    "operator-annotations",
    "operator-annotation-withdraw",
}
POST_TO_ALL = {"operator-alert-silence", "operator-alert-channels", "operator-annotations"}  # they name nothing
# Pages with a form of their own; every other page answers GET alone.
TAKES_POST = {
    "operator-quarantine-entry",
    "operator-quarantine-replay",
    "operator-quarantine-discard",
    "price-preview",
    "operator-alert-new",
    "operator-alert-edit",
    "operator-alert-channel-edit",
    *POST_ONLY,
}
OPEN_TO_ALL = {"home", "login", "logout"}
DOCUMENTS = {*STAFFS, *CUSTOMERS}  # which roles get them: test_documents.py
ENTRY = (str(uuid.uuid4()), 0, "missing_field")
PREVIEW = 4711
RULE = 4712
GPU, ENGINE = ("node-of-roles", "GPU-0"), ("node-of-roles", "e0")
REQUEST_KEYS: dict[str, str] = {}  # by tenant: of its request `1` at NOON; a hash that ClickHouse alone computes


def address(name: str, tenant: str, number: str) -> str:
    words: dict[str, tuple[object, ...]] = {
        **dict.fromkeys(
            ("customer", "customer-csv", "customer-draft", "customer-credits", "customer-credits-csv"), (tenant,)
        ),
        **dict.fromkeys(("invoice", "portal-invoice", "invoice-proof", "portal-invoice-proof"), (number,)),
        **dict.fromkeys(("invoice-line", "portal-invoice-line"), (number, 1)),
        **dict.fromkeys(("price-preview-result", "price-preview-csv"), (PREVIEW,)),
        "operator-live": ("overview",),
        "operator-latency-request": (tenant, milliseconds(NOON), REQUEST_KEYS.get(tenant, "0")),
        "operator-tenant": (tenant,),
        "operator-gpu": GPU,
        "operator-engine": ENGINE,
        "operator-quarantine-entry": ENTRY,
        "price-book": ("list",),
        **dict.fromkeys((*(POST_ONLY - POST_TO_ALL), "operator-alert-edit", "operator-alert-channel-edit"), (RULE,)),
        "operator-alert-rule": (str(RULE),),
    }
    return reverse(name, args=words.get(name, ()))


def test_every_address_of_the_dashboard_is_in_this_matrix() -> None:
    assert get_resolver()
    assert {pattern.name for pattern in urls.urlpatterns} == set(ROLES_OF) | OPEN_TO_ALL | DOCUMENTS


@pytest.mark.django_db(transaction=True)  # the live view closes the request's connection
@pytest.mark.parametrize("role", ["operator", "finance", "customer"])
def test_each_role_opens_its_pages_and_no_other(role: str, tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    put(tenant.key, {"batch": ENTRY[0]})
    put_preview(PREVIEW)
    AlertRule.objects.create(pk=RULE, name="a rule", measure="ttft_p95_ms", threshold=1.0)
    AlertChannel.objects.create(pk=RULE, name="a channel", kind="email", target="a@example.org")
    REQUEST_KEYS[tenant.key] = request_key(tenant.key, "1")
    SHELF.clear()  # of a fleet without them
    insert_gpus(GPU[0], {"time": datetime.now(UTC)})
    insert_engines(ENGINE[0], {"time": datetime.now(UTC)})
    client = log_in(role, tenant.key if role == "customer" else None)
    found = {name: client.get(address(name, tenant.key, invoiced)).status_code for name in ROLES_OF}
    shown = {name: 405 if name in POST_ONLY else 200 for name in ROLES_OF}
    assert found == {name: shown[name] if role in allowed else 403 for name, allowed in ROLES_OF.items()}


@pytest.mark.parametrize("name", ROLES_OF)
def test_who_is_not_logged_in_is_sent_to_the_log_in_and_back(name: str, db: None) -> None:
    path = address(name, "t", "TW-2026-000001")
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"{reverse('login')}?next={path}"


@pytest.mark.parametrize("name", ROLES_OF)
def test_a_user_without_a_role_is_refused_and_told_why(name: str, log_in: LogIn) -> None:
    response = log_in("").get(address(name, "t", "TW-2026-000001"))
    assert response.status_code == 403
    assert b"no role yet" in response.content


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_pages_only_answer_get_except_those_with_a_form(method: str, log_in: LogIn) -> None:
    client = log_in("operator")
    for name in set(ROLES_OF) - (TAKES_POST if method == "post" else set()):
        assert getattr(client, method)(address(name, "t", "n")).status_code == 405


@pytest.mark.parametrize("name", sorted(TAKES_POST))
def test_a_form_is_taken_from_its_role_alone_and_with_a_token_of_its_own(
    name: str, tenant: TenantInfo, log_in: LogIn
) -> None:
    put(tenant.key, {"batch": ENTRY[0]})
    path, form = address(name, "t", "n"), {"action": "discard", "expected": "1", "tenant": tenant.key}
    assert Client().post(path, form).status_code == 302
    for role in {"finance", "customer", ""} - ROLES_OF[name]:
        assert log_in(role, tenant.key if role == "customer" else None).post(path, form).status_code == 403
    operator = log_in("operator")
    operator.handler.enforce_csrf_checks = True
    assert operator.post(path, form).status_code == 403
    assert not QuarantineDecision.objects.exists()


def test_another_tenants_invoice_is_not_found_and_not_listed(
    tenant: TenantInfo, other: TenantInfo, invoiced: str, log_in: LogIn
) -> None:
    client = log_in("customer", other.key)
    assert client.get(reverse("portal-invoice", args=[invoiced])).status_code == 404
    assert invoiced not in client.get(reverse("portal-invoices")).content.decode()
    assert invoiced not in client.get(reverse("portal-invoices-csv")).content.decode()


def test_a_tenant_named_in_the_address_changes_nothing_for_a_customer(
    tenant: TenantInfo, other: TenantInfo, invoiced: str, log_in: LogIn
) -> None:
    client = log_in("customer", other.key)
    for name in ("portal", "portal-csv", "portal-invoices", "portal-invoices-csv"):
        shown = client.get(reverse(name), {"tenant": tenant.key, "month": "2026-01"}).content.decode()
        assert tenant.key not in shown
        assert "1,234,567" not in shown
        assert "1234567" not in shown


@pytest.mark.parametrize(("key", "query"), [("nothing", ""), ("overview", "?id=a"), ("overview", "?id=a&id=b")])
def test_a_stream_of_no_page_and_of_nothing_on_it_is_not_found(key: str, query: str, log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-live", args=[key]) + query).status_code == 404


def test_staff_get_404_for_what_there_is_not(log_in: LogIn) -> None:
    client = log_in("finance")
    assert client.get(reverse("customer", args=["nobody"])).status_code == 404
    assert client.get(reverse("invoice", args=["TW-1999-000001"])).status_code == 404


@pytest.mark.parametrize(
    ("role", "page"), [("operator", "operator-overview"), ("finance", "invoices"), ("customer", "portal")]
)
def test_home_is_where_the_role_starts(role: str, page: str, tenant: TenantInfo, log_in: LogIn) -> None:
    response = log_in(role, tenant.key if role == "customer" else None).get("/")
    assert response.status_code == 302
    assert response["Location"] == reverse(page)
