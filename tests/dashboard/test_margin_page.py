"""The page of margins: what is left of revenue, what is nobody's, and why a margin is not stated."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from billing.contracts import MarginAmounts, MarginGap, MarginReport, MarginRow
from dashboard.finance import margin_shown as shown
from dashboard.finance.margin_csv import COLUMNS, csv_rows
from metering.contracts import TenantInfo
from tests.billing.energy import attributed, energy_costs_from_now_on, nobodys, settle
from tests.dashboard.conftest import LogIn
from tests.metering.rows import NOON, empty_tables, insert_requests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

D = Decimal
JANUARY = {"month": "2026-01"}
MONTH_START, MONTH_END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    """No other test's usage or energy: the page is of everybody."""
    empty_tables("requests", "usage_ledger", "energy_hours", "energy_attributed_hours")


@pytest.fixture
def january(tenant: TenantInfo, prices: None) -> TenantInfo:
    """Revenue of 4 USD; 1 kWh and 1 GPU-hour at 0.20 and 2.50 USD; as much idle; all of it settled."""
    insert_requests(tenant.key, {"id": "1", "time": NOON, "input_tokens": 1_000_000, "output_tokens": 1_000_000})
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    nobodys(NOON, idle_nkwh="1", idle_gpu_nh="1")
    energy_costs_from_now_on()
    settle(MONTH_END + timedelta(hours=1))
    return tenant


def opened(log_in: LogIn, role: str = "operator", **query: str) -> str:
    response = log_in(role).get(reverse("margin"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def table(page: str, key: str) -> str:
    found = re.search(rf'aria-labelledby="t-{key}">(.*?)</table>', page, re.DOTALL)
    assert found is not None
    return text(found.group(1))


def row(**fields: Any) -> MarginRow:
    usual: dict[str, Any] = {
        "window_start": MONTH_START,
        "tenant": "acme",
        "model": "",
        "label": "",
        "requests": 10,
        "measured_requests": 10,
        "unpriced_tokens": 0,
        "energy_j": 3_600_000.0,
        "gpu_s": 3600.0,
        "amounts": (MarginAmounts("USD", D(4), D(1), D(1)),),
        "margin": D(2),
        "margin_share": D("0.5"),
        "gaps": (),
        "simulated": False,
    }
    return MarginRow(**(usual | fields))


def report(*rows: MarginRow, total: MarginRow | None = None) -> MarginReport:
    return MarginReport(MONTH_START, MONTH_END, MONTH_END, rows, total or row(tenant=""))


def test_it_shows_revenue_costs_and_margin_by_customer_and_model_with_idle_and_total(
    january: TenantInfo, log_in: LogIn
) -> None:
    page = opened(log_in, **JANUARY)
    customers, models = table(page, "tenant"), table(page, "model")
    assert f"{january.key} 1 1.000 1.000 4.00 0.20 2.50 1.30 32.5 %" in customers
    assert " m 1 1.000 1.000 4.00 0.20 2.50 1.30 32.5 %" in models
    for one in (customers, models):
        assert "Idle – 1.000 1.000 0.00 0.20 2.50 −2.70 –" in one  # noqa: RUF001
        assert "Total 1 2.000 2.000 4.00 0.40 5.00" in one
        assert "loss −1.40 −35.0 %" in one  # noqa: RUF001
    assert "up to 2026-02-01 00:00:00 UTC" in page
    assert "Not every margin can be stated" not in page


def test_finance_finds_it_in_the_navigation_and_not_among_the_fleets_pages(january: TenantInfo, log_in: LogIn) -> None:
    page = opened(log_in, "finance", **JANUARY)
    assert '<a href="/margin/" aria-current="page">Margin</a>' in page
    assert 'aria-label="Fleet"' not in page
    operators = opened(log_in, **JANUARY)
    assert 'aria-label="Billing"' in operators


def test_a_loss_is_marked_by_a_word_and_a_sign_but_what_is_nobodys_is_not(log_in: LogIn) -> None:
    loss = {"margin": D("-1.5"), "margin_share": D("-0.375")}
    [line] = shown.lines(report(row(**loss)), "tenant")
    assert (line.margin, line.share, line.loss) == ("−1.50", "−37.5 %", True)  # noqa: RUF001
    [idle] = shown.nobodys_lines(report(row(tenant="", label="idle", **loss)))
    assert (idle.name, idle.margin, idle.loss) == ("Idle", "−1.50", False)  # noqa: RUF001


def test_the_largest_revenue_comes_first_and_idle_before_the_causes() -> None:
    small = row(tenant="small", amounts=(MarginAmounts("USD", D(1), D(0), D(0)),))
    large = row(tenant="large", amounts=(MarginAmounts("USD", D(9), D(0), D(0)),))
    nobody = [row(tenant="", label=label) for label in ("aborted", "gap", "idle", "no_engine", "no_event")]
    found = report(small, large, *nobody)
    assert [line.name for line in shown.lines(found, "tenant")] == ["large", "small"]
    assert [line.name for line in shown.nobodys_lines(found)] == [
        "Idle",
        "Unattributed: gap in samples",
        "Unattributed: work without an event",
        "Unattributed: aborted streams",
        "Unattributed: GPU without an engine",
    ]


@pytest.mark.parametrize("gap", list(MarginGap))
def test_every_gap_is_explained_in_the_row_and_on_top(gap: MarginGap) -> None:
    open_row = row(gaps=(gap,), margin=None, margin_share=None)
    found = report(open_row, total=open_row)
    assert shown.lines(found, "tenant")[0].why == (shown.WHY[gap],)
    [note] = shown.notes(found)
    assert note.text.endswith(".")


def test_amounts_in_two_currencies_stand_beside_each_other_without_a_margin() -> None:
    amounts = (MarginAmounts("EUR", D(0), D("0.5"), D(0)), MarginAmounts("USD", D(4), D(0), D(1)))
    both = row(amounts=amounts, margin=None, margin_share=None, gaps=(MarginGap.CURRENCIES_DIFFER,))
    found = report(both, total=both)
    [line] = shown.lines(found, "tenant")
    assert [(one.currency, one.revenue, one.energy_cost) for one in line.amounts] == [
        ("EUR", "0.00", "0.50"),
        ("USD", "4.00", "0.00"),
    ]
    assert shown.only_currency(found) == ""
    assert [label for label, _ in shown.tiles(found)] == ["EUR", "USD"]
    assert all(tile.key != "margin" for _, tiles in shown.tiles(found) for tile in tiles)


def test_usage_of_somebody_who_is_not_listed_has_no_amount_and_no_link(january: TenantInfo, log_in: LogIn) -> None:
    insert_requests("gone", {"id": "1", "time": NOON})
    page = opened(log_in, **JANUARY)
    assert re.search(r"gone 1 0\.000 0\.000 . . . . .", table(page, "tenant"))
    assert "tokens without a price" in table(page, "tenant")
    assert "/customers/gone/" not in page
    assert f"/customers/{january.key}/" in page
    # In no word and no address; but a random token, in which it may turn up by chance, is neither.
    assert "XXX" not in re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page)
    assert "amounts in USD" in page


def test_a_cost_of_which_a_part_is_not_known_is_a_dash_also_for_what_is_nobodys() -> None:
    gaps = (MarginGap.UNPRICED_ENERGY,)
    unknown = (MarginAmounts("USD", D(4), None, D(1)),)
    total = row(tenant="", amounts=unknown, margin=None, margin_share=None, gaps=gaps)
    idle = row(tenant="", label="idle", amounts=(), margin=None, margin_share=None, gaps=gaps)
    [(_, tiles)] = shown.tiles(report(idle, total=total))
    values = {tile.key: (tile.value, tile.unit) for tile in tiles}
    assert values["revenue"] == ("4.00", "USD")
    assert values["energy"] == values["nobodys"] == values["margin"] == ("–", "")  # noqa: RUF001


def test_requests_whose_energy_is_only_partly_known_are_remarked_on() -> None:
    [line] = shown.lines(report(row(requests=1000, measured_requests=981)), "tenant")
    assert line.why == ("energy of 98.1 % of the requests",)


def test_the_csv_is_exact_by_customer_and_model_and_adds_up(january: TenantInfo, log_in: LogIn) -> None:
    response = log_in("finance").get(reverse("margin-csv"), JANUARY)
    assert response["Content-Disposition"] == 'attachment; filename="margin-2026-01.csv"'
    idle, own = csv.DictReader(io.StringIO(response.content.decode()))
    assert (own["tenant"], own["model"], own["label"]) == (january.key, "m", "")
    assert (own["revenue"], own["energy_cost"], own["gpu_cost"], own["margin"]) == ("4", "0.2", "2.5", "1.3")
    assert (own["energy_kwh"], own["gpu_hours"], own["gaps"]) == ("1.000000000", "1.000000", "")
    assert (idle["tenant"], idle["label"], idle["margin"]) == ("", "idle", "-2.7")


def test_a_row_in_two_currencies_is_two_lines_of_csv_with_its_quantities_once() -> None:
    amounts = (MarginAmounts("EUR", D(0), D("0.5"), None), MarginAmounts("USD", D(4), D(0), D(1)))
    lines = [dict(zip(COLUMNS, line, strict=True)) for line in csv_rows([row(amounts=amounts, margin=None)])]
    assert [(line["currency"], line["requests"], line["gpu_cost"]) for line in lines] == [
        ("EUR", 10, ""),
        ("USD", "", "1"),
    ]


def test_a_row_without_any_amount_is_a_line_of_csv_all_the_same() -> None:
    [line] = csv_rows([row(amounts=(), margin=None)])
    assert len(line) == len(COLUMNS)


def test_this_month_is_shown_up_to_the_settled_hour(tenant: TenantInfo, prices: None, log_in: LogIn) -> None:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    insert_requests(tenant.key, {"id": "1", "time": now, "ingested_at": now, "input_tokens": 1_000_000})
    settle(hour)
    page = opened(log_in)
    assert tenant.key not in page  # its hour is not settled
    insert_requests(tenant.key, {"id": "2", "time": hour - timedelta(minutes=5), "ingested_at": now})
    if hour.day > 1 or hour.hour > 0:
        assert tenant.key in opened(log_in)


def test_before_anything_was_measured_it_says_what_a_margin_needs(log_in: LogIn) -> None:
    page = opened(log_in, month="2025-01")
    assert "No usage and no energy in January 2025" in page
    for word in ("set_price", "docs/agent.md", "set_energy_price", "set_gpu_price"):
        assert word in page


def test_in_the_first_minutes_of_a_month_nothing_of_it_is_settled(log_in: LogIn) -> None:
    month_start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    settle(month_start - timedelta(minutes=10))
    page = opened(log_in)
    assert re.search(r"Nothing of \w+ \d+ is settled yet", page)
    response = log_in("finance").get(reverse("margin-csv"))
    assert response.content.decode().strip() == ",".join(COLUMNS)


def test_what_is_simulated_is_labelled(tenant: TenantInfo, prices: None, log_in: LogIn) -> None:
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1", simulated=True)
    settle(MONTH_END)
    page = opened(log_in, **JANUARY)
    assert f"{tenant.key} Simulated" in table(page, "tenant")
    assert "have energy in them that the simulator made up" in page


@pytest.mark.parametrize("name", ["margin", "margin-csv"])
def test_a_month_that_is_none_is_400(name: str, log_in: LogIn) -> None:
    assert log_in("finance").get(reverse(name), {"month": "2026-13"}).status_code == 400


@pytest.mark.parametrize("name", ["margin", "margin-csv"])
def test_it_says_that_clickhouse_is_down(name: str, log_in: LogIn, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    response = log_in("finance").get(reverse(name), JANUARY)
    assert response.status_code == 503
    assert b"ClickHouse does not answer." in response.content
