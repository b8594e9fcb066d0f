"""Finding things by name, over real databases."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from dashboard.operator import search
from dashboard.operator.search import Found
from dashboard.operator.shelf import SHELF
from metering.contracts import TenantInfo
from metering.public import create_tenant
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests
from tests.metering.telemetry.sample_rows import insert_engines, insert_gpus


@pytest.fixture(autouse=True)
def fresh() -> None:
    SHELF.clear()


def named(text: str, kind: str = "") -> list[str]:
    return [one.name for one in search.found(text) if kind in {"", one.kind}]


def test_a_customer_is_found_by_key_and_by_name_and_what_begins_so_comes_first(
    tenant_key: str, db: None, clickhouse: None
) -> None:
    create_tenant(f"a-{tenant_key}", f"Holds {tenant_key}")
    create_tenant(f"{tenant_key}-z", "Zeta")
    create_tenant(f"b-{tenant_key[2:]}", f"{tenant_key.upper()} Ltd")
    assert named(tenant_key) == [f"{tenant_key.upper()} Ltd", "Zeta", f"Holds {tenant_key}"]
    [zeta] = search.found(f"{tenant_key}-Z")
    assert (zeta.kind, zeta.note) == ("Customers", f"{tenant_key}-z")
    assert zeta.link == reverse("operator-tenant", args=[f"{tenant_key}-z"])


def test_models_nodes_gpus_and_engines_are_found_by_what_they_report(tenant: TenantInfo) -> None:
    mark = tenant.key[2:10]
    now = datetime.now(UTC) - timedelta(seconds=1)
    insert_requests(tenant.key, {"id": "1", "time": now, "ingested_at": now, "model": f"model-{mark}"})
    insert_gpus(f"node-{mark}", {"time": now, "gpu": f"GPU-{mark}", "index": 3})
    insert_engines(f"node-{mark}", {"time": now, "engine": f"engine-{mark}"})
    found = {one.kind: one for one in search.found(mark)}
    assert found["Models"].name == f"model-{mark}"
    assert f"model=model-{mark}" in found["Models"].link
    assert found["Nodes"].name == f"node-{mark}"
    assert (found["GPUs"].name, found["GPUs"].note.split(",")[0]) == (f"GPU-{mark}", f"node-{mark} GPU 3")
    assert found["GPUs"].link == reverse("operator-gpu", args=[f"node-{mark}", f"GPU-{mark}"])
    assert found["Engines"].name == f"engine-{mark}"
    assert found["Engines"].link == reverse("operator-engine", args=[f"node-{mark}", f"engine-{mark}"])


def test_no_kind_crowds_out_the_others_and_there_are_twenty_at_most(
    tenant_key: str, db: None, clickhouse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        create_tenant(f"{tenant_key}-{number:02}")
    nodes = tuple(Found("Nodes", f"{tenant_key}-n{number}", "", "/") for number in range(5))
    monkeypatch.setattr(search, "_seen", lambda: {"nodes": nodes})
    assert len(search.found(tenant_key)) == 20
    assert len(named(tenant_key, "Nodes")) == 5
    assert list(search.grouped(search.found(f"{tenant_key}-n"))) == ["Nodes"]


def test_a_page_is_found_by_its_name(db: None, clickhouse: None) -> None:
    [quarantine] = [one for one in search.found("quaran") if one.kind == "Pages"]
    assert quarantine.link == reverse("operator-quarantine")


@pytest.mark.parametrize("text", ["", "  ", "%", "no-such-thing-anywhere", "x" * 500, "y\x00z"])
def test_what_is_not_there_is_said_so_and_nothing_breaks(text: str, tenant: TenantInfo, log_in: LogIn) -> None:
    client = log_in("operator")
    for headers in ({}, {"HX-Request": "true"}):
        response = client.get(reverse("operator-search"), {"q": text}, headers=headers)
        assert response.status_code == 200
    assert tenant.key not in response.content.decode()


def test_the_field_in_the_header_gets_a_list_and_names_are_text(tenant: TenantInfo, log_in: LogIn) -> None:
    client = log_in("operator")
    answer = client.get(reverse("operator-search"), {"q": tenant.key}, headers={"HX-Request": "true"}).content.decode()
    assert answer.count('role="option"') == 1
    assert "Acme &lt;Search&gt;" in answer
    assert "<html" not in answer
    assert "<html" in client.get(reverse("operator-search"), {"q": tenant.key}).content.decode()


def test_a_filter_with_too_many_customers_for_a_menu_gets_suggestions(tenant: TenantInfo, log_in: LogIn) -> None:
    answer = log_in("operator").get(reverse("operator-search"), {"q": tenant.key, "as": "options"}).content.decode()
    assert answer.strip() == f'<option value="{tenant.key}">Acme &lt;Search&gt;</option>'
