"""The gateway to ClickHouse: limits, names, and parameters that are never coerced."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from metering.clickhouse import client

pytestmark = pytest.mark.usefixtures("clickhouse")


@dataclass(frozen=True)
class Adhoc:
    text: str
    parameters: tuple[tuple[str, Any], ...] = ()
    name: str = "adhoc"

    def sql(self) -> tuple[str, dict[str, Any]]:
        return self.text, dict(self.parameters)


def test_a_result_has_its_column_names() -> None:
    result = client.run(Adhoc("SELECT 1 AS a, 'x' AS b"))
    assert result.dicts() == [{"a": 1, "b": "x"}]


def test_a_query_past_its_time_limit_is_refused_with_code_159() -> None:
    with pytest.raises(client.ClickHouseRefused) as refused:
        client.run(Adhoc("SELECT sum(sleepEachRow(0.1)) FROM numbers(100) SETTINGS max_block_size = 1"), timeout_s=1)
    assert refused.value.code == client.TIMEOUT_EXCEEDED


def test_more_rows_than_allowed_are_refused_not_cut() -> None:
    with pytest.raises(client.ClickHouseRefused) as refused:
        client.run(Adhoc("SELECT number FROM numbers(11)"), max_rows=10)
    assert refused.value.code == client.TOO_MANY_ROWS_OR_BYTES


def test_a_query_carries_its_name() -> None:
    assert client.run(Adhoc("SELECT getSetting('log_comment')", name="who_am_i")).rows == [("who_am_i",)]


@pytest.mark.parametrize("value", ["it's", "\\", "a\nb", "%(x)s", "--", "\x00", "日本"])
def test_text_parameters_come_back_unchanged(value: str) -> None:
    assert client.run(Adhoc("SELECT %(value)s", (("value", value),))).rows == [(value,)]


@pytest.mark.parametrize("value", [1.5, None, datetime(2026, 1, 1, tzinfo=UTC), b"x"])
def test_a_parameter_that_the_driver_would_coerce_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"only text, whole numbers"):
        client.run(Adhoc("SELECT %(value)s", (("value", value),)))


@pytest.mark.parametrize("name", ["a b", "a`", "", "1a", "ä", "a.b"])
def test_only_plain_identifiers_are_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        client.identifier(name)


def test_after_an_error_the_next_query_works() -> None:
    with pytest.raises(client.ClickHouseRefused):
        client.run(Adhoc("SELECT * FROM no_such_table"))
    assert client.run(Adhoc("SELECT 1")).rows == [(1,)]


def test_a_stream_that_is_left_early_does_not_poison_the_next_query() -> None:
    rows = client.stream(Adhoc("SELECT number FROM numbers(1000000)"), block_rows=1000)
    assert next(iter(rows)) == (0,)
    rows.close()  # type: ignore[attr-defined]
    assert client.run(Adhoc("SELECT 7")).rows == [(7,)]


def test_without_a_server_the_message_says_what_to_do(settings: Any) -> None:
    settings.CLICKHOUSE_URL = ""
    with pytest.raises(client.ClickHouseUnavailable, match=r"manage\.py up"):
        client.run(Adhoc("SELECT 1"))
