"""From an invoice line to its hours and requests, and to the proof of one: for staff, for the customer, and not for another one."""

import json
import re
import subprocess
import sys
from pathlib import Path

from django.urls import reverse

from billing.public import invoice
from metering.contracts import TenantInfo
from tests.billing.documents import issued
from tests.dashboard.conftest import LogIn

ROOT = Path(__file__).parents[2]


def test_a_line_leads_to_its_hours_and_an_hour_to_its_requests(
    tenant: TenantInfo, invoiced: str, log_in: LogIn
) -> None:
    for role, prefix in (("finance", ""), ("customer", "portal-")):
        client = log_in(role, tenant.key if role == "customer" else None)
        page = client.get(reverse(f"{prefix}invoice", args=[invoiced])).content.decode()
        line = reverse(f"{prefix}invoice-line", args=[invoiced, 1])
        assert f'href="{line}"' in page
        hours = client.get(line).content.decode()
        assert "1,234,567" in hours
        (hour,) = re.findall(rf'href="({re.escape(line)}\?hour=[^"]+)"', hours)
        requests = client.get(hour).content.decode()
        assert "1,234,567" in requests
        assert "request_id=1" in requests


def test_what_is_not_made_of_requests_leads_to_none(tenant: TenantInfo, log_in: LogIn) -> None:
    kinds = [
        {"type": "flat_fee", "quantity": 31, "unit": "days", "model": "", "kind": ""},
        {"kind": "meter:gpu_seconds"},
        {},
    ]
    number = issued(tenant.key, kinds).number
    page = log_in("finance").get(reverse("invoice", args=[number])).content.decode()
    links = [reverse("invoice-line", args=[number, position]) in page for position in (1, 2, 3)]
    assert links == [False, False, True]


def test_hours_and_lines_that_are_none_are_404(tenant: TenantInfo, invoiced: str, log_in: LogIn) -> None:
    client, line = log_in("finance"), reverse("invoice-line", args=[invoiced, 1])
    assert client.get(reverse("invoice-line", args=[invoiced, 99])).status_code == 404
    assert client.get(reverse("invoice-line", args=["TW-1999-000001", 1])).status_code == 404
    assert client.get(line, {"hour": "noon"}).status_code == 404
    assert client.get(line, {"hour": "2026-01-15T12:00:00Z", "after": "x"}).status_code == 404


def test_another_tenant_gets_neither_lines_nor_proofs(
    tenant: TenantInfo, other: TenantInfo, invoiced: str, log_in: LogIn
) -> None:
    client = log_in("customer", other.key)
    assert client.get(reverse("portal-invoice-line", args=[invoiced, 1])).status_code == 404
    assert client.get(reverse("portal-invoice-proof", args=[invoiced]), {"request_id": "1"}).status_code == 404


def test_a_proof_is_found_downloaded_and_checked_without_our_code(
    tenant: TenantInfo, invoiced: str, log_in: LogIn, tmp_path: Path
) -> None:
    client, url = log_in("customer", tenant.key), reverse("portal-invoice-proof", args=[invoiced])
    assert "Billed by this invoice" in client.get(url, {"request_id": "1"}).content.decode()
    missing = client.get(url, {"request_id": "nobody's"})
    assert missing.status_code == 404
    assert "not billed by invoice" in missing.content.decode()
    answer = client.get(url, {"request_id": "1", "download": "1"})
    assert "attachment" in answer.headers["Content-Disposition"]
    found = invoice(invoiced)
    assert found is not None
    proof = tmp_path / "proof.json"
    words = [
        sys.executable,
        str(ROOT / "docs" / "check_proof.py"),
        str(proof),
        found.usage_root,
        str(found.usage_leaves),
    ]
    proof.write_bytes(answer.content)
    assert subprocess.run(words, check=False).returncode == 0
    changed = json.loads(answer.content)
    changed["request"] = changed["request"].replace("1234567", "1234568")
    proof.write_text(json.dumps(changed))
    assert subprocess.run(words, check=False).returncode == 1
