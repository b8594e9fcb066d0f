"""Invoice runs: what is due, one set from two workers, and what a crash at any point leaves behind."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import customers, finalising, pricebook, runs
from billing.audit import audit
from billing.closing import close_period
from billing.models import Invoice, InvoiceRun, InvoiceSeries, InvoiceState
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing import crashing_run
from tests.billing.conftest import MONTH, Use

pytestmark = pytest.mark.usefixtures("settled")
ROOT = Path(__file__).resolve().parents[2]
AFTER_JANUARY = MONTH.end + timedelta(hours=24)


def many(tenant_key: str, use: Use, count: int) -> list[TenantInfo]:
    found = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(count)]
    for n, tenant in enumerate(found):
        use(tenant.key, {"input_tokens": 1_000_000 * (n + 1)})
    return found


def numbers(count: int) -> list[str]:
    return [f"TW-{timezone.now().year}-{n:06d}" for n in range(1, count + 1)]


def the_set() -> list[tuple[str, str]]:
    return list(Invoice.objects.order_by("number").values_list("number", "tenant"))


@pytest.mark.usefixtures("prices")
def test_a_period_is_billed_when_the_customers_grace_is_over(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    customers.save_customer(tenant.key, actor="ada", grace_hours=72)
    early = runs.start_run(AFTER_JANUARY, [tenant.key])
    assert (early.state, early.due, early.invoices) == ("done", 0, 0)
    run = runs.start_run(MONTH.end + timedelta(hours=72), [tenant.key])
    assert (run.due, run.done, run.invoices, run.problems) == (1, 1, 1, [])
    invoice = Invoice.objects.get()
    assert (invoice.run, invoice.seal, invoice.watermark) == (run, run.seal, run.watermark)
    assert invoice.price_versions == run.price_versions == {"list": 3}


@pytest.mark.usefixtures("prices")
def test_usage_without_a_price_is_a_problem_of_the_run_and_keeps_nobody_else_waiting(
    tenant_key: str, use: Use, clickhouse: None
) -> None:
    fine, blocked = (metering.create_tenant(f"{tenant_key}-{name}") for name in ("fine", "blocked"))
    use(fine.key, {})
    use(blocked.key, {"model": "priceless"})
    run = runs.start_run(AFTER_JANUARY, [fine.key, blocked.key])
    assert (run.due, run.done, run.invoices) == (2, 2, 1)
    assert {problem["tenant"] for problem in run.problems} == {blocked.key}
    for kind in ("input", "output"):
        pricebook.set_price(model="*", kind=kind, per_million="1", currency="USD")
    again = runs.start_run(AFTER_JANUARY, [fine.key, blocked.key])
    assert (again.due, again.invoices, again.problems) == (1, 1, [])
    assert [number for number, _ in the_set()] == numbers(2)


@pytest.mark.usefixtures("prices")
def test_a_resumed_run_uses_the_seal_and_the_prices_that_it_fixed(
    tenant: TenantInfo, use: Use, settled: datetime
) -> None:
    use(tenant.key, {"input_tokens": 10_000_000, "output_tokens": 0})
    run = runs.plan_run(AFTER_JANUARY, [tenant.key])
    pricebook.set_price(model="m", kind="input", per_million="99", currency="USD", effective_from=MONTH.start)
    use(tenant.key, {"id": "later", "ingested_at": settled + timedelta(minutes=1)})
    assert metering.latest_seal() is not None
    runs.resume(run)
    invoice = Invoice.objects.get()
    assert (str(invoice.total.normalize()), invoice.requests, invoice.price_versions) == ("1.5", 1, {"list": 3})
    assert audit(invoice.number).differences == ()


@pytest.mark.usefixtures("prices")
def test_a_run_that_is_done_stays_as_it_is(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    run = runs.start_run(AFTER_JANUARY, [tenant.key])
    finished = run.finished_at
    assert runs.resume(run).finished_at == finished
    assert Invoice.objects.count() == 1


@pytest.mark.usefixtures("prices")
def test_an_error_marks_the_run_as_failed_and_it_can_be_resumed(
    tenant: TenantInfo, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tenant.key, {})

    def broken(*_: object, **__: object) -> None:
        raise OSError("the machine went away")

    with monkeypatch.context() as patched:
        patched.setattr(finalising, "finalise", broken)
        with pytest.raises(OSError, match="went away"):
            runs.start_run(AFTER_JANUARY, [tenant.key])
    run = InvoiceRun.objects.get()
    assert run.state == "failed"
    assert "the machine went away" in run.problems[0]["problem"]
    assert runs.unfinished() == run
    runs.resume(run)
    assert (run.state, run.invoices, run.problems) == ("done", 1, [])
    assert runs.unfinished() is None


@pytest.mark.usefixtures("prices")
def test_a_run_whose_worker_is_gone_is_found_by_its_heartbeat(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    run = runs.plan_run(AFTER_JANUARY, [tenant.key])
    assert runs.unfinished() is None
    InvoiceRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert runs.unfinished() == run


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_close_the_same_month_at_once_make_one_set(
    tenant_key: str, use: Use, clickhouse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalising, "BATCH", 2)
    tenants = many(tenant_key, use, 7)
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD")
    together = threading.Barrier(3)

    def worker() -> list[str | None]:
        try:
            together.wait(10)
            return [closed.number for closed in close_period(MONTH, tenants, wait_s=10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        results = [future.result(60) for future in [pool.submit(worker) for _ in range(3)]]
    assert results == [numbers(7)] * 3
    assert the_set() == [(number, tenant.key) for number, tenant in zip(numbers(7), tenants, strict=True)]
    assert InvoiceState.objects.count() == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", crashing_run.POINTS)
def test_a_run_killed_at_any_point_and_resumed_makes_the_same_set_without_a_gap(
    point: str, tenant_key: str, use: Use, clickhouse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = many(tenant_key, use, 5)
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD")
    run = runs.plan_run(AFTER_JANUARY, [tenant.key for tenant in tenants])
    assert crashed(run, point) == -signal.SIGKILL
    run.refresh_from_db()
    assert run.state == "running"
    made = the_set()
    assert len(made) in {0, 2, 4, 5}  # whole batches of two, and the last one
    series = InvoiceSeries.objects.filter(name__startswith="TW").first()
    assert (series.last if series else 0) == len(made)
    monkeypatch.setattr(finalising, "BATCH", 2)
    runs.resume(run)
    assert the_set() == [(number, tenant.key) for number, tenant in zip(numbers(5), tenants, strict=True)]
    assert the_set()[: len(made)] == made
    assert (run.state, run.done, run.invoices, run.problems) == ("done", 5, 5, [])
    assert audit(numbers(5)[-1]).differences == ()


def crashed(run: InvoiceRun, point: str) -> int:
    """The exit code of a process that works on the run until it is killed there."""
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "CLICKHOUSE_URL": str(settings.CLICKHOUSE_URL),
    }
    command = [sys.executable, "-m", "tests.billing.crashing_run", str(run.pk), point]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False).returncode
