"""Previews of price changes: past bills under a draft are to the cent what would have been billed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from billing import pricebook, rating
from billing.agreements import create_contract
from billing.models import Invoice, PricePreview
from billing.price_preview import Preview, PreviewRefused, preview
from billing.price_preview_runs import SILENT, ask, look, make
from billing.pricebook import PriceRow
from billing.rating.terms import AppliesTo, Discount, FlatFee, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices", "only_own_rows")

UNTIL = datetime(2026, 2, 2, tzinfo=UTC)
D = Decimal


def draft(*rows: dict[str, Any], book: str = "list") -> int:
    usual = {"model": "m", "currency": "USD"}
    return pricebook.new_version(book, [PriceRow(**usual | row) for row in rows]).number


def sealed() -> None:
    assert metering.seal_everything_before(datetime.now(UTC), wait_s=5).seal


def previewed(version: int, book: str = "list", months: int = 1, **more: Any) -> Preview:
    return preview(book, version, months, until=UNTIL, **more)


@pytest.fixture
def used(tenant: TenantInfo, use: Use) -> TenantInfo:
    """A million tokens of input and 200,000 of output: 0.15 and 0.12 USD at the prices in force."""
    use(tenant.key, {"input_tokens": 1_000_000, "output_tokens": 200_000})
    sealed()
    return tenant


def test_a_draft_is_taken_to_have_held_throughout(used: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30", "effective_from": datetime(2099, 1, 1, tzinfo=UTC)})
    (one,) = previewed(version).customers
    assert (one.tenant, one.before, one.after, one.rise) == (used.key, D("0.27"), D("0.42"), D("0.15"))
    assert one.share == D("0.555556")
    (as_dated,) = previewed(version, as_dated=True).customers
    assert as_dated.rise == 0


def test_both_sides_are_what_is_billed_to_the_cent(tenant: TenantInfo, use: Use) -> None:
    """The second month is not closed before the draft is published, so the invoice of the first is the other side of the preview."""
    tiers = ({"up_to": 500_000, "amount": "0.151"}, {"up_to": None, "amount": "0.0777"})
    begins = MONTH.end
    rows: list[dict[str, Any]] = [
        {"kind": "input", "charge_model": "graduated", "tiers": tiers, "effective_from": begins},
        {"kind": "output", "amount": "0.6111", "effective_from": begins},
        {"kind": "cached_input", "charge_model": "package", "amount": "0.01", "per": 1000, "effective_from": begins},
    ]
    february = {"time": datetime(2026, 2, 10, tzinfo=UTC), "input_tokens": 1_000_000, "output_tokens": 200_000}
    use(tenant.key, {"input_tokens": 1_000_000}, {"cached_input_tokens": 1_500} | february)
    version = draft(*rows)
    sealed()
    found = preview("list", version, 2, until=datetime(2026, 3, 2, tzinfo=UTC)).customers[0].bills
    close(tenant)
    assert Invoice.objects.get().subtotal == found[0].before
    pricebook.publish("list", version)
    number = call("close_period", "--tenant", tenant.key, "--period", "2026-02")
    assert Invoice.objects.get(number=number).subtotal == found[1].after
    assert found[1].after != found[1].before


def test_fees_discounts_and_commitments_are_on_both_sides(used: TenantInfo) -> None:
    terms = Terms(
        flat_fees=(FlatFee("base", "Base fee", D("10")),),
        discounts=(Discount("ten", "Ten per cent", AppliesTo.USAGE, share=D("0.1")),),
        commitment=D("0.40"),
    )
    create_contract(tenant=used.key, starts_on=date(2026, 1, 1), terms=terms, actor="test")
    (one,) = previewed(draft({"kind": "input", "amount": "3.15"})).customers
    # 0.27 less 10 % is short of 0.40; 3.15 + 0.12 less 10 % is not.
    assert (one.before, one.after) == (D("10.40"), D("12.94"))


def test_a_contracts_book_concerns_those_who_name_it_alone(tenant_key: str, use: Use) -> None:
    own, other = f"{tenant_key}-own", f"{tenant_key}-other"
    for name in (own, other):
        metering.create_tenant(name)
        use(name, {"input_tokens": 1_000_000})
    pricebook.publish("special", draft({"kind": "input", "amount": "0.12"}, book="special"))
    create_contract(tenant=own, starts_on=date(2026, 1, 1), terms=Terms(price_book="special"), actor="test")
    sealed()
    (one,) = previewed(draft({"kind": "input", "amount": "0.10"}, book="special"), "special").customers
    assert (one.tenant, one.before - one.after) == (own, D("0.02"))
    rises = {one.tenant: one.rise for one in previewed(draft({"kind": "input", "amount": "0.25"})).customers}
    assert rises == {own: 0, other: D("0.10")}


def test_the_worst_bill_shock_comes_first_and_totals_count_who_pays_more(tenant_key: str, use: Use) -> None:
    for name, tokens in (("a", 1_000_000), ("b", 9_000_000), ("c", 0)):
        metering.create_tenant(f"{tenant_key}-{name}")
        use(f"{tenant_key}-{name}", {"input_tokens": tokens, "output_tokens": 1_000_000})
    sealed()
    found = previewed(draft({"kind": "input", "amount": "0.25"}, {"kind": "output", "amount": "0.59"}))
    assert [one.tenant[-1] for one in found.customers] == ["b", "a", "c"]
    (total,) = found.totals
    assert (total.more, total.less, total.same) == (2, 1, 0)
    assert (total.before, total.after, total.rise) == (D("3.30"), D("4.27"), D("0.97"))


def test_usage_that_would_have_no_price_is_told(used: TenantInfo) -> None:
    version = draft({"kind": "input", "charge_model": "withdrawn"})
    (one,) = previewed(version).customers
    assert (one.unpriced, one.after) == (1, D("0.12"))


def test_a_published_version_is_compared_with_the_one_before_it(used: TenantInfo) -> None:
    made = pricebook.set_price(model="m", kind="input", per_million="1.15", currency="USD")
    (one,) = previewed(made.version).customers
    assert one.rise == D("1.00")


def test_periods_that_ended_before_or_after_are_left_out(used: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30"})
    for until in (datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)):
        assert preview("list", version, 1, until=until).customers == ()
    assert len(preview("list", version, 2, until=datetime(2026, 3, 31, tzinfo=UTC)).customers) == 1


def test_what_cannot_be_previewed_is_refused(used: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30"})
    for months in (0, 25):
        with pytest.raises(PreviewRefused, match="1 to 24"):
            previewed(version, months=months)
    with pytest.raises(pricebook.UnknownVersion):
        previewed(version + 1)


def call(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_the_command_prints_customers_and_totals_as_csv(used: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30"})
    months = (datetime.now(UTC).year - 2026) * 12 + datetime.now(UTC).month
    header, one, total = call("price_preview", "--version", str(version), "--months", str(min(months, 24))).splitlines()
    assert header.startswith("tenant,currency,bills,before,after")
    assert one == f"{used.key},USD,1,0.27,0.42,0.15,0.555556,2026-01-01 to 2026-02-01,0.15,0"
    assert total == "(total),USD,1,0.27,0.42,0.15,0.555556,,,0"
    with pytest.raises(CommandError, match="has no version 99"):
        call("price_preview", "--book", "list", "--version", "99")


def test_a_worker_makes_what_was_asked_for_and_a_second_one_leaves_it_alone(used: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30"})
    number = ask("list", version, 24, by="ada")
    waiting = look(number)
    assert waiting is not None
    assert (waiting.state, waiting.preview, waiting.asked_by) == ("waiting", None, "ada")
    make(number)
    done = look(number)
    assert done is not None
    assert done.preview is not None
    assert (done.state, done.periods_done, done.periods_due) == ("done", 24, 24)
    direct = preview("list", version, 24, until=done.preview.until)
    assert done.preview == direct
    PricePreview.objects.filter(pk=number).update(result=None)
    make(number)
    assert PricePreview.objects.get(pk=number).result is None


def test_a_worker_that_died_is_taken_over_and_an_error_is_told(used: TenantInfo, monkeypatch: Any) -> None:
    number = ask("list", draft({"kind": "input", "amount": "0.30"}), 1, by="ada")
    PricePreview.objects.filter(pk=number).update(state="running", heartbeat_at=datetime.now(UTC))
    make(number)
    assert PricePreview.objects.get(pk=number).state == "running"
    PricePreview.objects.filter(pk=number).update(heartbeat_at=datetime.now(UTC) - SILENT - timedelta(seconds=1))

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("the ledger is away")

    monkeypatch.setattr("billing.price_preview_runs.preview", fails)
    make(number)
    failed = look(number)
    assert failed is not None
    assert (failed.state, failed.error, failed.ended) == ("failed", "the ledger is away", True)


def test_nothing_sealed_is_told(tenant: TenantInfo) -> None:
    version = draft({"kind": "input", "amount": "0.30"})
    with pytest.raises(PreviewRefused, match="nothing is sealed"):
        previewed(version)
    assert rating.BEGINNING < NOON
