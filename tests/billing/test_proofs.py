"""An invoice carries a digest of the requests that it bills, and anyone can check that one is among them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse

from billing import digests
from billing.closing import close_period
from billing.models import Invoice
from billing.periods import month
from metering import proofs as metering_proofs
from metering import public as metering
from metering.clickhouse import client
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.conftest import MONTH, NOON, Use, close
from tests.billing.late import use_late

pytestmark = pytest.mark.usefixtures("settled", "prices")

SCRIPT = Path(__file__).parents[2] / "docs" / "check_proof.py"
FEBRUARY = month("2026-02")


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    metering_proofs._kept_buckets.cache_clear()


def invoice_of(tenant: TenantInfo) -> Invoice:
    closed = close(tenant)[0]
    assert closed.number, closed.problems
    return Invoice.objects.get(number=closed.number)


def ask(invoice: Invoice, token: str | None, **query: str) -> HttpResponse:
    return get(f"/api/v1/invoices/{invoice.number}/proof", token, query)


def proof(invoice: Invoice, request_id: str, **query: str) -> dict[str, Any]:
    answer = ask(invoice, key(invoice.tenant), request_id=request_id, **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = json.loads(answer.content)
    return found


def checked(proof: dict[str, Any], folder: Path, root: str, requests: int) -> tuple[int, str]:
    """What the script of docs/ says: alone, with a Python that sees none of our code."""
    file = folder / f"{uuid4().hex}.json"
    file.write_text(json.dumps(proof))
    command = [sys.executable, "-I", SCRIPT, file, root, str(requests)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_the_script_needs_the_standard_library_alone_and_is_short() -> None:
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) < 45
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names


def test_a_request_that_is_billed_is_proven_by_the_digest_on_the_invoice(
    tenant: TenantInfo, use: Use, tmp_path: Path
) -> None:
    use(tenant.key, *({"id": f"r-{n}", "input_tokens": 100 + n} for n in range(300)))
    invoice = invoice_of(tenant)
    assert (len(invoice.usage_root), invoice.usage_leaves) == (64, 300)
    for request_id in ("r-0", "r-150", "r-299"):
        found = proof(invoice, request_id)
        code, said = checked(found, tmp_path, invoice.usage_root, 300)
        assert (code, f"id={request_id}\n" in said) == (0, True), said
        assert (found["invoice"], found["digest"], found["corrects"]) == (invoice.number, invoice.usage_root, None)
        assert found["path"]


def test_nothing_in_a_proof_can_be_changed(tenant: TenantInfo, use: Use, tmp_path: Path) -> None:
    use(tenant.key, *({"id": f"r-{n}"} for n in range(300)))
    invoice = invoice_of(tenant)
    good = proof(invoice, "r-7")
    root = invoice.usage_root
    assert checked(good, tmp_path, root, 300)[0] == 0
    first = good["path"][0]
    other_side = {"left": "right", "right": "left"}[first["side"]]
    wrong: list[dict[str, Any]] = [
        {"request": good["request"].replace("input_tokens=100", "input_tokens=101")},
        {"request": good["request"].replace("id=r-7", "id=r-8")},
        {"siblings": good["siblings"][1:]},
        {"siblings": [*good["siblings"], good["siblings"][0]]},
        {"path": [{**first, "side": other_side}, *good["path"][1:]]},
        {"path": good["path"][1:]},
        {"requests": 299},
        {"tops": []},
        {"tops": good["tops"] * 2},
    ]
    for change in wrong:
        assert checked({**good, **change}, tmp_path, root, 300)[0] == 1, change
    assert checked(good, tmp_path, "0" * 64, 300)[0] == 1
    assert checked(good, tmp_path, root, 301)[0] == 1


def test_a_request_that_is_not_billed_has_no_proof(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"}, {"id": "next-month", "time": MONTH.end})
    invoice = invoice_of(tenant)
    for query in ({"request_id": "never"}, {"request_id": "next-month"}, {"request_id": "a", "source": "elsewhere"}):
        answer = ask(invoice, key(tenant.key), **query)
        assert answer.status_code == 404
        assert "is not billed by invoice" in answer.json()["detail"]


def test_a_failed_request_is_on_the_invoice_and_so_in_its_digest(tenant: TenantInfo, use: Use, tmp_path: Path) -> None:
    use(tenant.key, {"id": "a"}, {"id": "failed", "status": "error"})
    invoice = invoice_of(tenant)
    assert checked(proof(invoice, "failed"), tmp_path, invoice.usage_root, 2)[0] == 0


def test_an_event_that_came_twice_is_one_leaf_with_the_content_of_the_first(
    tenant: TenantInfo, use: Use, tmp_path: Path
) -> None:
    use(tenant.key, {"id": "a"}, {"id": "a", "input_tokens": 7, "ingested_at": NOON + timedelta(seconds=1)})
    invoice = invoice_of(tenant)
    found = proof(invoice, "a")
    assert "\ninput_tokens=100\n" in found["request"]
    assert checked(found, tmp_path, invoice.usage_root, 1)[0] == 0


def test_an_id_that_was_used_again_needs_its_time(tenant: TenantInfo, use: Use, tmp_path: Path) -> None:
    again = NOON + timedelta(days=3)
    use(tenant.key, {"id": "a"}, {"id": "a", "time": again})
    invoice = invoice_of(tenant)
    answer = ask(invoice, key(tenant.key), request_id="a")
    assert answer.status_code == 409
    assert "2026-01-18T12:00:00Z" in answer.json()["detail"]
    second = proof(invoice, "a", time="2026-01-18T12:00:00Z")
    assert checked(second, tmp_path, invoice.usage_root, 2)[0] == 0


@dataclass(frozen=True)
class Late:
    """January's invoice, the one that corrects it, and a request that came too late for the first."""

    january: Invoice
    february: Invoice


@pytest.fixture
def late(tenant: TenantInfo, use: Use) -> Late:
    use(tenant.key, {"id": "a", "input_tokens": 1_000_000})
    january = invoice_of(tenant)
    use_late(use, tenant.key, {"id": "late", "input_tokens": 2_000_000}, {"id": "b", "time": FEBRUARY.start})
    closed = close_period(FEBRUARY, [tenant], wait_s=5)[0]
    assert closed.number, closed.problems
    return Late(january, Invoice.objects.get(number=closed.number))


def test_a_late_request_is_proven_by_the_invoice_that_bills_it(late: Late, tmp_path: Path) -> None:
    first, second = late.january, late.february
    assert (first.usage_leaves, second.usage_leaves) == (1, 2)
    refused = ask(first, key(first.tenant), request_id="late")
    assert refused.status_code == 404
    assert second.number in refused.json()["detail"]
    found = proof(second, "late")
    assert (found["corrects"], len(found["tops"])) == (first.number, 2)
    assert found["arrived_from"] is not None
    for each in ("late", "b"):
        assert checked(proof(second, each), tmp_path, second.usage_root, 2)[0] == 0
    assert checked(proof(first, "a"), tmp_path, first.usage_root, 1)[0] == 0
    assert ask(second, key(first.tenant), request_id="a").status_code == 404


def test_a_digest_can_be_made_again_from_raw_events(late: Late) -> None:
    for invoice in (late.january, late.february):
        assert digests.root(invoice) == (invoice.usage_root, invoice.usage_leaves)


def test_events_that_were_changed_no_longer_give_the_digest(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"}, {"id": "b"})
    invoice = invoice_of(tenant)
    sql = "ALTER TABLE requests UPDATE output_tokens = 9 WHERE tenant = %(t)s AND id = 'b'"
    client.statement("test", sql, {"t": tenant.key}, settings={"mutations_sync": 1})
    assert digests.root(invoice) != (invoice.usage_root, invoice.usage_leaves)
    for request_id in ("a", "b"):
        answer = ask(invoice, key(tenant.key), request_id=request_id)
        assert answer.status_code == 409
        assert "audit_invoice" in answer.json()["detail"]


def test_only_the_tenants_own_key_and_an_operators_open_a_proof(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"id": "a"})
    invoice = invoice_of(tenant)
    other = metering.create_tenant(f"{tenant.key}-other")
    use(other.key, {"id": "a"})
    foreign = ask(invoice, key(other.key), request_id="a")
    assert foreign.status_code == 404
    assert foreign.json()["detail"] == f"there is no invoice '{invoice.number}'"
    assert ask(invoice, None, request_id="a").status_code == 401
    assert ask(invoice, key(tenant.key, "usage:read"), request_id="a").status_code == 403
    assert ask(invoice, key(None), request_id="a").status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({}, "request_id"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"request_id": "a\x00"}, "request_id"),
        ({"request_id": "a", "source": "x" * 129}, "source"),
        ({"request_id": "a", "time": "noon"}, "time"),
        ({"request_id": "a", "tenant": "x"}, "tenant"),
    ],
)
def test_bad_parameters_are_refused_by_name(
    tenant: TenantInfo, use: Use, query: dict[str, str], parameter: str
) -> None:
    use(tenant.key, {"id": "a"})
    answer = ask(invoice_of(tenant), key(tenant.key), **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == parameter


def test_an_invoice_without_requests_has_no_digest() -> None:
    assert digests.root_over([]) == ("", 0)
