"""The arithmetic of a margin, by hand: what adds up, and when a difference is stated."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.contracts import CostRow, MarginAmounts, MarginGap, MarginRow
from billing.margin_sums import Sum, together
from metering.contracts import EnergyCostRow

AT = datetime(2026, 11, 20, 14, tzinfo=UTC)
D = Decimal


def usage(cost: str | None, **other: Any) -> CostRow:
    fields: dict[str, Any] = {
        "window_start": AT,
        "tenant": "acme",
        "groups": {"model": "m", "status": "ok"},
        "requests": 10,
        "input_tokens": 900,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 100,
        "reasoning_tokens": 0,
        "currency": "USD",
        "unpriced_tokens": 0,
    }
    return CostRow(cost=None if cost is None else D(cost), **(fields | other))


def cost(energy: dict[str, str], gpu: dict[str, str], **other: Any) -> EnergyCostRow:
    """One kWh and two GPU-hours. What is in two currencies is part in each, unless `*_priced_in` says that it is whole."""
    fields: dict[str, Any] = {
        "window_start": AT,
        "tenant": "acme",
        "model": "m",
        "label": "",
        "requests": 10,
        "energy_j": 3_600_000.0,
        "gpu_s": 7200.0,
        "energy_priced_in": frozenset(energy) if len(energy) == 1 else frozenset(),
        "gpu_priced_in": frozenset(gpu) if len(gpu) == 1 else frozenset(),
        "unpriced_energy_j": 0.0,
        "unpriced_gpu_s": 0.0,
        "simulated": False,
    }
    amounts = {"energy_cost": energy, "gpu_cost": gpu}
    priced = {name: {code: D(amount) for code, amount in found.items()} for name, found in amounts.items()}
    return EnergyCostRow(**(fields | priced | other))


def summed(*rows: CostRow | EnergyCostRow, closed: bool = True) -> Sum:
    found = Sum()
    for row in rows:
        if isinstance(row, CostRow):
            found.add_usage(row)
        else:
            found.add_cost(row)
    found.close(closed=closed)
    return found


def row(*rows: CostRow | EnergyCostRow, closed: bool = True) -> MarginRow:
    return summed(*rows, closed=closed).row(AT, "acme", "m", "")


def test_revenue_less_energy_less_gpu_time() -> None:
    found = row(usage("10"), cost({"USD": "0.20"}, {"USD": "5"}))
    assert found.amounts == (MarginAmounts("USD", D(10), D("0.20"), D(5)),)
    assert (found.margin, found.margin_share, found.gaps) == (D("4.80"), D("0.480000"), ())
    assert (found.requests, found.measured_requests, found.energy_j, found.gpu_s) == (10, 10, 3_600_000, 7200)


def test_a_margin_may_be_negative() -> None:
    found = row(usage("1"), cost({"USD": "0.25"}, {"USD": "5"}))
    assert (found.margin, found.margin_share) == (D("-4.25"), D("-4.250000"))


def test_a_share_without_an_end_is_rounded_and_the_margin_is_not() -> None:
    found = row(usage("0.000000000003"), cost({"USD": "0.000000000001"}, {"USD": "0"}))
    assert (found.margin, found.margin_share) == (D("0.000000000002"), D("0.666667"))


def test_no_digit_is_lost_in_a_sum_of_very_large_and_very_small_amounts() -> None:
    found = row(usage("123456789012345678901234567890"), cost({"USD": "0.000000000000000001"}, {"USD": "1"}))
    assert found.margin == D("123456789012345678901234567888.999999999999999999")


def test_currencies_are_listed_side_by_side_and_never_converted() -> None:
    found = row(usage("10", currency="EUR"), cost({"USD": "0.20"}, {"USD": "5"}))
    assert found.amounts == (
        MarginAmounts("EUR", D(10), D(0), D(0)),
        MarginAmounts("USD", D(0), D("0.20"), D(5)),
    )
    assert (found.margin, found.margin_share, found.gaps) == (None, None, (MarginGap.CURRENCIES_DIFFER,))


def test_energy_in_two_regions_with_two_currencies_states_no_margin() -> None:
    found = row(usage("10"), cost({"USD": "0.10", "EUR": "0.05"}, {"USD": "5"}))
    assert [(one.currency, one.revenue, one.energy_cost) for one in found.amounts] == [
        ("EUR", D(0), D("0.05")),
        ("USD", D(10), D("0.10")),
    ]
    assert found.gaps == (MarginGap.CURRENCIES_DIFFER,)


def test_a_currency_in_which_everything_is_zero_is_in_nobodys_way() -> None:
    found = row(usage("0", currency="EUR"), cost({"USD": "0.20"}, {"USD": "5"}))
    assert [one.currency for one in found.amounts] == ["USD"]
    assert (found.margin, found.margin_share) == (D("-5.20"), None)


BOTH = {"energy_priced_in": frozenset({"EUR", "USD"}), "gpu_priced_in": frozenset({"EUR", "USD"})}


def test_a_cost_with_prices_in_two_currencies_is_whole_in_each_and_meets_either_revenue() -> None:
    twice = cost({"USD": "0.20", "EUR": "0.18"}, {"USD": "5", "EUR": "4.5"}, **BOTH)
    dollars, euros = row(usage("10"), twice), row(usage("10", currency="EUR"), twice)
    assert dollars.amounts == (MarginAmounts("USD", D(10), D("0.20"), D(5)),)
    assert euros.amounts == (MarginAmounts("EUR", D(10), D("0.18"), D("4.5")),)
    assert (dollars.margin, euros.margin) == (D("4.80"), D("5.32"))
    mixed = together([summed(usage("10"), twice), summed(usage("0", currency="EUR"), cost({"USD": "1"}, {"USD": "1"}))])
    assert mixed.row(AT, "", "", "").margin == D("2.80")


def test_a_cost_that_nobody_pays_is_shown_in_the_currency_of_the_revenue_where_it_has_several() -> None:
    idle = summed(cost({"USD": "0.20", "EUR": "0.18"}, {"USD": "5", "EUR": "4.5"}, requests=0, **BOTH))
    assert idle.row(AT, "", "", "idle", prefer="EUR").margin == D("-4.68")
    unsure = idle.row(AT, "", "", "idle")
    assert (unsure.margin, unsure.gaps) == (None, (MarginGap.CURRENCIES_DIFFER,))
    assert [one.currency for one in unsure.amounts] == ["EUR", "USD"]


def test_nothing_at_all_is_a_margin_of_nothing() -> None:
    found = Sum().row(AT, "", "", "")
    assert (found.margin, found.margin_share, found.amounts, found.gaps) == (D(0), None, (), ())


def test_usage_without_a_price_leaves_revenue_and_margin_open() -> None:
    found = row(usage("3"), usage(None, unpriced_tokens=70), cost({"USD": "0.20"}, {"USD": "5"}, requests=20))
    assert found.amounts == (MarginAmounts("USD", None, D("0.20"), D(5)),)
    assert (found.margin, found.unpriced_tokens, found.gaps) == (None, 70, (MarginGap.UNPRICED_USAGE,))


def test_energy_and_gpu_time_without_a_price_are_not_free() -> None:
    nowhere = {"energy_priced_in": frozenset(), "gpu_priced_in": frozenset()}
    unpriced = cost({"USD": "0.10"}, {}, unpriced_energy_j=1.0, unpriced_gpu_s=7200.0, **nowhere)
    found = row(usage("10"), unpriced)
    assert found.amounts == (MarginAmounts("USD", D(10), None, None),)
    assert (found.margin, found.gaps) == (None, (MarginGap.UNPRICED_ENERGY, MarginGap.UNPRICED_GPU_TIME))


def test_usage_of_which_no_energy_is_known_has_no_margin() -> None:
    assert row(usage("10")).gaps == (MarginGap.NOT_MEASURED,)
    nowhere = cost({}, {}, energy_j=0.0, gpu_s=0.0)  # an engine that tells of no GPU
    assert row(usage("10"), nowhere).gaps == (MarginGap.NOT_MEASURED,)


def test_one_request_in_a_hundred_may_be_missing_and_failed_ones_need_no_energy() -> None:
    paid = cost({"USD": "1"}, {"USD": "1"}, requests=99)
    failed = usage("0", requests=50, groups={"model": "m", "status": "error"})
    assert row(usage("10", requests=100), failed, paid).margin == D(8)
    assert row(usage("10", requests=101), failed, paid).gaps == (MarginGap.NOT_MEASURED,)
    assert row(failed).margin == D(0)


def test_a_window_that_is_not_settled_has_no_margin() -> None:
    found = row(usage("10"), cost({"USD": "0.20"}, {"USD": "5"}), closed=False)
    assert (found.margin, found.gaps) == (None, (MarginGap.OPEN,))


def test_what_is_nobodys_is_a_loss_and_the_total_reconciles_to_all_cost() -> None:
    own = summed(usage("10"), cost({"USD": "0.20"}, {"USD": "5"}))
    idle = summed(cost({"USD": "0.05"}, {"USD": "2"}, tenant="", model="", label="idle", requests=0))
    lost = summed(cost({"USD": "0.01"}, {"USD": "0.5"}, tenant="", model="m", label="aborted", requests=0))
    assert idle.row(AT, "", "", "idle").margin == D("-2.05")
    total = together([own, idle, lost]).row(AT, "", "", "")
    assert total.amounts == (MarginAmounts("USD", D(10), D("0.26"), D("7.5")),)
    assert (total.margin, total.energy_j) == (D("2.24"), 3 * 3_600_000)


def test_what_one_part_of_a_sum_lacks_the_sum_lacks() -> None:
    good = summed(usage("10"), cost({"USD": "0.20"}, {"USD": "5"}))
    for gap, bad in (
        (MarginGap.NOT_MEASURED, summed(usage("1"))),
        (MarginGap.UNPRICED_USAGE, summed(usage(None, unpriced_tokens=1), cost({"USD": "0"}, {"USD": "1"}))),
        (MarginGap.UNPRICED_ENERGY, summed(usage("1"), cost({}, {"USD": "1"}, unpriced_energy_j=1.0))),
    ):
        total = together([good, bad]).row(AT, "", "", "")
        assert (total.margin, total.gaps) == (None, (gap,))


def test_tenants_of_two_currencies_have_margins_and_their_sum_has_none() -> None:
    dollars = summed(usage("10"), cost({"USD": "1"}, {"USD": "1"}))
    euros = summed(usage("10", currency="EUR"), cost({"EUR": "1"}, {"EUR": "2"}))
    assert dollars.row(AT, "a", "m", "").margin == D(8)
    assert euros.row(AT, "b", "m", "").margin == D(7)
    total = together([dollars, euros]).row(AT, "", "", "")
    assert (total.margin, total.gaps) == (None, (MarginGap.CURRENCIES_DIFFER,))
    assert [(one.currency, one.revenue) for one in total.amounts] == [("EUR", D(10)), ("USD", D(10))]


def test_simulated_energy_marks_every_sum_it_is_in() -> None:
    made_up = summed(usage("1"), cost({"USD": "0"}, {"USD": "0"}, simulated=True))
    assert made_up.row(AT, "", "", "").simulated
    assert together([summed(usage("0")), made_up]).row(AT, "", "", "").simulated
