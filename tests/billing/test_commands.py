"""The commands: results on stdout, the rest on stderr, a non-zero exit on failure."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from billing import pricebook, rating
from billing.models import Invoice, Price
from metering import public as metering
from metering.clickhouse import client
from metering.contracts import TenantInfo
from tests.billing.conftest import Use

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


def price(*more: str, per_million: str = "1") -> tuple[str, str]:
    return run("set_price", "--model", "m", "--per-million", per_million, "--currency", "USD", *more)


def test_set_price_prints_the_version_alone() -> None:
    assert price("--kind", "uncached_input") == ("1", "effective from the beginning of time")
    assert price("--kind", "output_tokens", "--tier", "batch")[0] == "2"
    assert price("--kind", "input") == ("2", "unchanged: in force from the beginning of time")


def test_set_price_takes_a_date_or_a_time() -> None:
    price("--kind", "input")
    assert price("--kind", "input", "--effective-from", "2026-10-01", per_million="2") == (
        "2",
        "effective from 2026-10-01 00:00Z",
    )
    price("--kind", "input", "--effective-from", "2026-10-01T02:00:00+02:00", per_million="3")
    (_, second, third) = Price.objects.order_by("pk")
    assert second.effective_from == third.effective_from == datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--kind", "input", "--effective-from", "soon"), "neither a date"),
        (("--kind", "input", "--effective-from", "2026-10-01T06:00"), "no offset"),
        (("--kind", "input", "--effective-from", "2026-10-01T06:01Z"), "quarter of an hour"),
        (("--kind", "seats"), "unknown kind"),
    ],
)
def test_set_price_says_what_is_wrong(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        price(*arguments)


@pytest.mark.usefixtures("settled", "prices")
def test_close_and_audit_from_the_command_line(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"input_tokens": 18_059_974, "output_tokens": 245_896})
    out, err = run("close_period", "--tenant", tenant.key, "--period", "2026-01")
    assert (out, err) == (f"TW-{timezone.now().year}-000001", "")
    out_again, err = run("close_period", "--tenant", tenant.key, "--period", "2026-01")
    assert out_again == out
    assert "was finalised on" in err
    summary, _ = run("audit_invoice", out)
    assert "agrees to the cent: 2.86 USD" in summary
    assert "18,059,974 input and 245,896 output tokens" in summary


@pytest.mark.usefixtures("settled", "prices")
def test_audit_prints_the_places_and_fails(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    number, _ = run("close_period", "--tenant", tenant.key, "--period", "2026-01")
    client.statement(
        "test_alter",
        "ALTER TABLE usage_ledger UPDATE requests = 2 WHERE tenant = %(tenant)s SETTINGS mutations_sync = 1",
        {"tenant": tenant.key},
    )
    out = StringIO()
    with pytest.raises(CommandError, match="does not agree with the raw events: 1 difference"):
        call_command("audit_invoice", number, stdout=out)
    assert "requests is 2, raw events give 1" in out.getvalue()


@pytest.mark.usefixtures("settled", "clickhouse")
def test_closing_all_prints_what_could_be_closed_and_fails_for_the_rest(
    use: Use, prices: None, tenant_key: str
) -> None:
    for name, model in (("a", "m"), ("b", "priceless"), ("c", "m")):
        metering.create_tenant(f"{tenant_key}-{name}")
        use(f"{tenant_key}-{name}", {"model": model})
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match=f"not closed: {tenant_key}-b$"):
        call_command("close_period", "--all", "--period", "2026-01", stdout=out, stderr=err)
    assert [row.tenant for row in Invoice.objects.order_by("number")] == [f"{tenant_key}-a", f"{tenant_key}-c"]
    assert out.getvalue().split() == list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert "manage.py set_price --model priceless --kind input" in err.getvalue()


@pytest.mark.usefixtures("settled", "clickhouse")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--tenant", "nobody", "--period", "2026-01"), "there is no tenant 'nobody'"),
        (("--all", "--period", "2026-00"), "not a month"),
        (("--all", "--period", "2999-01"), "has not ended yet"),
        (("--period", "2026-01"), "one of the arguments --tenant --all is required"),
        (("--all", "--tenant", "x", "--period", "2026-01"), "not allowed with"),
    ],
)
def test_close_period_says_what_is_wrong(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("close_period", *arguments)


def test_the_first_price_of_a_model_reaches_traces_of_years_ago() -> None:
    price("--kind", "input", per_million="0.15")
    (rule,) = pricebook.sheet("USD")
    assert (rule.model, rule.effective_from) == ("m", rating.BEGINNING)
