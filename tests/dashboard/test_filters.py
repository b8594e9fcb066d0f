from datetime import UTC, datetime, timedelta

import pytest

from dashboard.operator.filters import RANGES, Filters, Option, UnknownFilter

NOW = datetime(2026, 3, 10, 12, 34, 56, 789, tzinfo=UTC)
LATENCY = Option("latency", "Latency", {"ttft": "TTFT", "e2e": "End to end"}, "ttft")
NODE = Option("node", "Node", None)
OWN = {"from": "2026-03-01T10:07", "to": "2026-03-01T12:00"}


def test_an_address_without_a_query_is_the_last_hour_of_everything() -> None:
    filters = Filters.read({})
    assert filters == Filters("1h")
    assert filters.query() == ""
    assert (filters.scope.tenant, filters.scope.model, filters.scope.region) == (None, None, None)


def test_what_is_in_the_address_comes_back_out_of_it() -> None:
    filters = Filters.read(
        {"range": "7d", "tenant": "a&b", "region": "eu", "compare": "previous", "latency": "e2e", "unrelated": "x"},
        [LATENCY],
    )
    assert filters.query() == "range=7d&region=eu&tenant=a%26b&compare=previous&latency=e2e"
    assert filters.carried() == "range=7d&region=eu&tenant=a%26b&compare=previous"


def test_empty_values_and_defaults_mean_the_same_as_none() -> None:
    assert Filters.read({"tenant": "", "range": "", "from": "", "to": "", "latency": "ttft"}, [LATENCY]) == Filters()


@pytest.mark.parametrize(
    "query", [{"range": "2h"}, {"latency": "itl"}, {"compare": "year"}, {"from": "then", "to": "2026-03-01"}]
)
def test_what_there_is_not_is_refused_by_name(query: dict[str, str]) -> None:
    with pytest.raises(UnknownFilter, match=next(iter(query.values()))):
        Filters.read(query, [LATENCY])


@pytest.mark.parametrize("name", ["tenant", "node"])
@pytest.mark.parametrize("text", ["x" * 201, "a\x00b"])
def test_what_cannot_be_a_name_is_refused(name: str, text: str) -> None:
    with pytest.raises(UnknownFilter, match=name):
        Filters.read({name: text}, [NODE])


@pytest.mark.parametrize("name", RANGES)
def test_a_range_begins_on_a_whole_step_and_covers_its_length(name: str) -> None:
    span, window = RANGES[name], Filters(name).window(NOW)
    assert window.end == NOW
    assert window.live
    assert span.length <= NOW - window.start < span.length + span.step
    assert (window.start - datetime(1970, 1, 1, tzinfo=UTC)) % span.step == timedelta(0)
    assert len(window.steps) == -(-(NOW - window.start) // span.step)


@pytest.mark.parametrize("name", RANGES)
def test_the_previous_window_is_as_long_and_lies_whole_steps_earlier(name: str) -> None:
    window = Filters(name).window(NOW)
    before = window.previous
    assert before.end - before.start == window.end - window.start
    assert (window.start - before.start) % window.step == timedelta(0)
    assert before.end <= window.start
    assert len(before.steps) == len(window.steps)
    assert not before.live


def test_a_range_of_ones_own_is_in_the_address_to_the_minute() -> None:
    filters = Filters.read(OWN)
    assert filters.query() == "from=2026-03-01T10%3A07&to=2026-03-01T12%3A00"
    assert filters.label == "1 Mar 10:07 to 1 Mar 12:00"
    window = filters.window(NOW)
    assert (window.start, window.end) == (
        datetime(2026, 3, 1, 10, 5, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert not window.live


def test_a_named_range_stands_though_the_form_sends_the_fields_of_the_other() -> None:
    assert Filters.read({"range": "6h"} | OWN) == Filters("6h")
    assert Filters.read({"range": "custom"} | OWN) == Filters.read(OWN)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T10:00", ""),
        ("2026-03-01T10:00", "2026-03-01T10:04"),
        ("2026-03-02", "2026-03-01"),
        ("2024-01-01", "2026-03-01"),
        ("1999-12-31T23:00", "2000-01-01T01:00"),
        ("0001-01-01T00:00+14:00", "2026-03-01"),
        ("9999-12-31T23:59-14:00", "9999-12-31T23:59"),
    ],
)
def test_a_range_that_cannot_be_shown_is_refused(start: str, end: str) -> None:
    with pytest.raises(UnknownFilter):
        Filters.read({"from": start, "to": end})


def test_a_range_of_ones_own_has_enough_points_and_not_too_many() -> None:
    for hours in (1, 2, 6, 7, 24, 25, 72, 100, 24 * 30, 24 * 31, 24 * 400):
        end = datetime(2026, 3, 1, tzinfo=UTC)
        window = Filters("custom", start=end - timedelta(hours=hours), end=end).window(NOW)
        assert 24 <= len(window.steps) <= 400


def test_a_range_that_lasts_ends_now_and_one_to_come_is_a_step_of_nothing() -> None:
    lasting = Filters("custom", start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1))
    assert lasting.window(NOW).end == NOW
    to_come = Filters("custom", start=NOW + timedelta(days=1), end=NOW + timedelta(days=2)).window(NOW)
    assert to_come.end - to_come.start == to_come.step
    assert to_come.previous.end - to_come.previous.start == to_come.step


def test_a_page_that_has_no_short_ranges_shows_the_next_longer_one() -> None:
    offered = ("24h", "7d")
    assert Filters("1h", tenant="t").fitted(offered) == Filters("24h", tenant="t")
    assert Filters("7d").fitted(offered) == Filters("7d")
    assert Filters("90d").fitted(offered) == Filters("7d")
    assert Filters.read(OWN).fitted(offered) == Filters.read(OWN)


def test_a_row_of_a_table_narrows_the_page_and_keeps_the_rest() -> None:
    filters = Filters("6h", tenant="acme", options=(("latency", "e2e"),))
    assert filters.narrowed("model", "m") == Filters("6h", tenant="acme", model="m", options=(("latency", "e2e"),))
    assert filters.narrowed("tenant", "t").tenant == "t"
    assert filters.narrowed("latency", "ttft").option(LATENCY) == "ttft"
    assert filters.narrowed("node", "n1").options == (("latency", "e2e"), ("node", "n1"))


def test_what_was_narrowed_is_cleared_by_one_link() -> None:
    filters = Filters("6h", tenant="acme", model="m")
    assert filters.cleared(["model"]) == "?range=6h&tenant=acme"
    assert filters.cleared(["region"]) == ""
