from datetime import UTC, datetime, timedelta

import pytest

from dashboard.operator.filters import RANGES, Filters, UnknownFilter


def test_an_address_without_a_query_is_the_last_hour_of_everything() -> None:
    filters = Filters.read({})
    assert filters == Filters("1h", "", "", "ttft")
    assert filters.query() == ""
    assert (filters.scope.tenant, filters.scope.model) == (None, None)


def test_what_is_in_the_address_comes_back_out_of_it() -> None:
    filters = Filters.read({"range": "7d", "tenant": "a&b", "model": "m", "latency": "e2e", "unrelated": "x"})
    assert filters.query() == "range=7d&tenant=a%26b&model=m&latency=e2e"


def test_empty_values_mean_all() -> None:
    assert Filters.read({"tenant": "", "range": ""}) == Filters()


@pytest.mark.parametrize("query", [{"range": "2h"}, {"latency": "itl"}])
def test_an_unknown_range_or_latency_is_refused_by_name(query: dict[str, str]) -> None:
    with pytest.raises(UnknownFilter, match=next(iter(query.values()))):
        Filters.read(query)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_begins_on_a_whole_step_and_covers_its_length(name: str) -> None:
    now = datetime(2026, 3, 10, 12, 34, 56, 789, tzinfo=UTC)
    span = RANGES[name]
    start = span.start(now)
    assert now - start >= span.length
    assert now - start < span.length + span.step
    assert (start - datetime(1970, 1, 1, tzinfo=UTC)) % span.step == timedelta(0)


@pytest.mark.parametrize("name", RANGES)
def test_ranges_beyond_six_hours_read_the_hourly_rollup(name: str) -> None:
    span = RANGES[name]
    assert (span.step % timedelta(hours=1) == timedelta(0)) == (span.length > timedelta(hours=6))


def test_a_row_of_a_table_narrows_the_page_and_keeps_the_rest() -> None:
    filters = Filters("6h", "acme", "", "e2e")
    assert filters.narrowed("model", "m") == Filters("6h", "acme", "m", "e2e")
    assert filters.narrowed("tenant", "t") == Filters("6h", "t", "", "e2e")
