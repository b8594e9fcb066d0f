"""Prometheus texts: fetched under limits, read where they are wanted."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from metering.agent import exposition
from metering.agent.exposition import Series, Unreadable, fetch, parse
from tests.metering.agent.sources.served import Served

URL = "http://127.0.0.1:8000/metrics"


def test_only_wanted_names_are_read_and_no_name_that_begins_like_one() -> None:
    text = 'a{x="1"} 1\na_total{x="1"} 2\nab 3\n# HELP a What a is.\n# TYPE a gauge\nb 4 1700000000000\n'
    found = parse(text, {"a", "b"})
    assert found.series == {"a": [Series({"x": "1"}, 1.0)], "b": [Series({}, 4.0)]}
    assert found.declared == {"a"}


def test_labels_may_hold_anything() -> None:
    text = 'a{path="C:\\\\x",said="\\"hi\\", {he} said\\n",split="one\u2028two"} 1\n'
    (series,) = parse(text, {"a"}).series["a"]
    assert series.labels == {"path": "C:\\x", "said": '"hi", {he} said\n', "split": "one\u2028two"}


@given(
    st.dictionaries(st.sampled_from(["model_name", "engine", "le_"]), st.text(), min_size=3, max_size=3), st.floats()
)
def test_what_prometheus_client_writes_is_read_back(labels: dict[str, str], value: float) -> None:
    registry = CollectorRegistry()
    Gauge("wanted", "", list(labels), registry=registry).labels(**labels).set(value)
    Histogram("unwanted", "", list(labels), registry=registry).labels(**labels).observe(1.0)
    try:
        text = generate_latest(registry).decode()
    except UnicodeEncodeError:  # a lone surrogate
        return
    ((found, number),) = parse(text, {"wanted"}).series["wanted"]
    assert found == labels
    assert number == pytest.approx(value, rel=0, abs=0, nan_ok=True)


def test_one_malformed_line_does_not_take_the_others_with_it() -> None:
    found = parse('a{x="1"} 1\na{x="2} 2\na{x="3"} three\na{x="4"} 4\n', {"a"})
    assert [series.value for series in found.series["a"]] == [1.0, 4.0]
    assert found.malformed == 2


def test_ten_thousand_values_of_a_label_are_refused() -> None:
    text = "".join(f'a{{user="{user}"}} 1\n' for user in range(10_000))
    with pytest.raises(Unreadable, match="more than 4000 series"):
        parse(text, {"a"})
    assert parse(text, {"b"}).series == {}


def test_it_asks_for_the_plain_text_uncompressed() -> None:
    served = Served("a 1\n")
    assert fetch(served.http, URL) == "a 1\n"
    (request,) = served.asked
    assert request.headers["accept"] == "text/plain;version=0.0.4"
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [204, 301, 404, 503])
def test_any_other_answer_than_200_is_unreadable(status: int) -> None:
    with pytest.raises(Unreadable, match=f"it answers HTTP {status}"):
        fetch(Served(status=status).http, URL)


def test_a_compressed_answer_is_not_inflated() -> None:
    served = Served("no gzip at all")
    served.headers["Content-Encoding"] = "gzip"
    with pytest.raises(Unreadable, match="compressed"):
        fetch(served.http, URL)


@pytest.mark.parametrize("error", [httpx.ConnectError("Connection refused"), httpx.ReadTimeout("timed out")])
def test_no_answer_is_unreadable_and_says_why(error: Exception) -> None:
    served = Served()
    served.error = lambda _: error
    with pytest.raises(Unreadable, match=f"it does not answer: {error}"):
        fetch(served.http, URL)


def test_a_url_that_is_none_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        fetch(Served().http, "http://[::1/metrics")


def test_an_answer_without_end_is_left_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MOST_BYTES", 1_000)
    assert len(fetch(Served("x" * 1_000).http, URL)) == 1_000
    with pytest.raises(Unreadable, match="more than 1000 bytes"):
        fetch(Served("x" * 1_001).http, URL)


def test_an_answer_that_trickles_is_left_in_time() -> None:
    now = iter((0.0, 20.0))
    with pytest.raises(Unreadable, match="more than 10 s"):
        fetch(Served("a 1\n").http, URL, lambda: next(now))


def test_bytes_that_are_no_text_do_not_raise() -> None:
    served = Served()
    served.body = b"a 1\n\xff\xfe\n"
    assert parse(fetch(served.http, URL), {"a"}).series == {"a": [Series({}, 1.0)]}
