from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from metering.demo.generate import HOUR, hour
from metering.demo.load import rates_rps, utilisation
from metering.demo.provider import CUSTOMERS, HISTORY_DAYS, MODELS, WORKLOADS

ANCHOR = datetime(2026, 10, 19, 11, tzinfo=UTC)
END = ANCHOR + timedelta(days=HISTORY_DAYS)
BUSY = END - timedelta(hours=20)  # a Sunday at 15:00


@pytest.fixture(scope="module")
def events() -> pa.Table:
    """A day and a half at the end of the history."""
    return pa.concat_tables([hour(ANCHOR, END - number * HOUR) for number in range(36, 0, -1)])


def test_an_hour_is_the_same_each_time() -> None:
    assert hour(ANCHOR, BUSY).equals(hour(ANCHOR, BUSY))


def test_an_hours_events_lie_within_it_in_order_of_time() -> None:
    times = hour(ANCHOR, BUSY)["time"].to_pylist()

    assert times == sorted(times)
    assert times[0] >= BUSY
    assert times[-1] < BUSY + HOUR


def test_no_two_events_share_an_identity(events: pa.Table) -> None:
    assert pc.count_distinct(events["id"]).as_py() == events.num_rows
    assert pc.unique(events["source"]).to_pylist() == ["demo:2026101911"]


def test_parts_of_the_tokens_never_exceed_their_whole(events: pa.Table) -> None:
    assert pc.all(pc.less_equal(events["cached_input_tokens"], events["input_tokens"])).as_py()
    assert pc.all(pc.less_equal(events["reasoning_tokens"], events["output_tokens"])).as_py()


def test_every_event_says_that_it_is_made_up_and_what_is_modelled(events: pa.Table) -> None:
    assert {tuple(row) for row in events["attributes"].to_pylist()} == {
        (("demo", "true"), ("modelled", "queue_ms,ttft_ms,tpot_ms,e2e_ms"))
    }


def test_all_customers_use_their_models_and_nothing_else(events: pa.Table) -> None:
    pairs = {(row["tenant"], row["model"]) for row in events.select(["tenant", "model"]).to_pylist()}

    offered = {(customer.key, model) for customer in CUSTOMERS for model in customer.models}
    assert pairs <= offered
    assert {tenant for tenant, _ in pairs} == {customer.key for customer in CUSTOMERS}


def test_a_few_requests_fail_or_are_given_up_and_failed_ones_have_no_output(events: pa.Table) -> None:
    shares = {row["values"]: row["counts"] / events.num_rows for row in pc.value_counts(events["status"]).to_pylist()}

    assert 0.002 < shares["error"] < 0.05
    assert 0.01 < shares["cancelled"] < 0.04
    failed = events.filter(pc.equal(events["status"], "error"))
    assert pc.sum(failed["output_tokens"]).as_py() == 0
    assert failed["ttft_ms"].null_count == failed.num_rows


def test_the_first_token_never_comes_before_the_queue_ends_nor_after_the_whole(events: pa.Table) -> None:
    streamed = events.filter(pc.is_valid(events["ttft_ms"]))

    assert pc.all(pc.less_equal(streamed["queue_ms"], streamed["ttft_ms"])).as_py()
    assert pc.all(pc.less_equal(streamed["ttft_ms"], streamed["e2e_ms"])).as_py()
    assert 100 < pc.quantile(streamed["ttft_ms"], 0.95)[0].as_py() < 5_000


def test_load_follows_the_day_and_stays_below_full() -> None:
    loads = [utilisation(ANCHOR, END + number * HOUR) for number in range(24 * 7)]

    assert 0.1 < min(loads) < 0.5
    assert 0.8 < max(loads) < 1


def test_traffic_grows_to_the_end_of_the_history_and_not_beyond() -> None:
    same_hour_last_week = rates_rps(ANCHOR, END - timedelta(days=7))
    at_the_end, a_year_later = rates_rps(ANCHOR, END), rates_rps(ANCHOR, END + timedelta(days=364))

    assert (same_hour_last_week < at_the_end).all()
    assert np.allclose(at_the_end, a_year_later)


def test_customers_are_of_very_different_size() -> None:
    rates = sorted(customer.rate_rps for customer in CUSTOMERS)

    assert len(rates) == 12
    assert rates[-1] > 100 * rates[0]


def test_every_customer_has_a_workload_and_shares_that_add_up() -> None:
    names = {model.name for model in MODELS}
    for customer in CUSTOMERS:
        assert customer.workload in WORKLOADS
        assert set(customer.models) <= names
        assert sum(customer.models.values()) == pytest.approx(1)
        assert sum(share for _, share in customer.tiers) == pytest.approx(1)
