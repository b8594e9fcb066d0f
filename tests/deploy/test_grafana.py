"""The Grafana dashboards that are shipped: every query of theirs runs on our schema, with the data source's macros put in by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metering.clickhouse import client

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
# As the data source's documentation gives them, for a step of a minute (github.com/grafana/clickhouse-datasource, macros).
MACROS = (
    (r"\$__timeFilter\((\w+)\)", r"\1 >= toDateTime(1790000000) AND \1 <= toDateTime(1790003600)"),
    (r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)"),
    (r"\$__interval_s", "60"),
)
NAMED = re.compile(r"\$__conditionalAll\((\w+) IN \(\$\{(\w+):singlequote\}\), \$(\w+)\)")


def board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def queries() -> list[Any]:
    return [
        pytest.param(path.stem, target["rawSql"], id=f"{path.stem}-{panel['title']}")
        for path in DASHBOARDS
        for panel in board(path)["panels"]
        for target in panel["targets"]
    ]


def expanded(sql: str, chosen: str | None) -> str:
    """`chosen` None: every variable is on All."""
    sql = NAMED.sub("1 = 1" if chosen is None else rf"\1 IN ('{chosen}')", sql)
    for pattern, text in MACROS:
        sql = re.sub(pattern, text, sql)
    return sql


def test_there_are_two() -> None:
    assert [path.name for path in DASHBOARDS] == ["fleet.json", "service.json"]


@pytest.mark.usefixtures("clickhouse")
@pytest.mark.parametrize(("name", "sql"), queries())
@pytest.mark.parametrize("chosen", [None, "it"])
def test_every_query_runs_on_the_schema(name: str, sql: str, chosen: str | None) -> None:
    text = expanded(sql, chosen)
    assert "$" not in text
    client.statement("test_grafana", text, settings={"readonly": 2})


@pytest.mark.usefixtures("clickhouse")
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_variables_are_those_that_queries_use_and_their_own_queries_run(path: Path) -> None:
    found = board(path)
    used = {name for panel in found["panels"] for name in re.findall(r"\$\{(\w+):", panel["targets"][0]["rawSql"])}
    assert {variable["name"] for variable in found["templating"]["list"]} == used
    for variable in found["templating"]["list"]:
        client.statement("test_grafana", variable["query"]["rawSql"], settings={"readonly": 2})


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_titles_units_and_places_of_their_own(path: Path) -> None:
    panels = board(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table" for panel in panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & taken
        taken |= own


def test_the_data_source_of_all_panels_is_the_one_that_is_provisioned() -> None:
    provisioned = (GRAFANA / "provisioning" / "datasources" / "tallywatt.yaml").read_text()
    assert "uid: tallywatt-clickhouse" in provisioned
    for path in DASHBOARDS:
        for panel in board(path)["panels"]:
            assert panel["datasource"] == {"type": "grafana-clickhouse-datasource", "uid": "tallywatt-clickhouse"}
