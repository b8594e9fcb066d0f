"""Panels below each other on one axis of time."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.converters import NameConverter
from dashboard.figures_panels import BAR, MARK, Panel, Track, panels_figure

START = datetime(2026, 11, 25, tzinfo=UTC)
STEPS = [START + timedelta(minutes=n) for n in range(3)]


def track(uid: str, y: list[float | None] | None = None, **fields: object) -> Track:
    return Track(uid, uid, y if y is not None else [1.0, None, 2.0], "--series-1", **fields)  # type: ignore[arg-type]


def test_every_panel_has_an_axis_with_its_unit_and_a_legend_of_its_own() -> None:
    figure = panels_figure(STEPS, [Panel("W", [track("a"), track("b")]), Panel("MHz", [track("c")])])
    layout = figure["layout"]
    assert [layout[name]["title"]["text"] for name in ("yaxis", "yaxis2")] == ["W", "MHz"]
    assert [(one["uid"], one["yaxis"], one["legend"]) for one in figure["data"]] == [
        ("a", "y", "legend"),
        ("b", "y", "legend"),
        ("c", "y2", "legend2"),
    ]
    assert {one["x"][0] for one in figure["data"]} == {START.isoformat()}
    assert "xaxis2" not in layout
    assert layout["xaxis"]["anchor"] == "y2"


def test_panels_do_not_overlap_and_fill_the_figure() -> None:
    layout = panels_figure(STEPS, [Panel("a", [], height=2), Panel("b", []), Panel("c", [], height=0.5)])["layout"]
    first, second, third = (layout[name]["domain"] for name in ("yaxis", "yaxis2", "yaxis3"))
    assert first[1] == 1.0
    assert third[0] == 0.0
    assert first[0] > second[1] > second[0] > third[1]
    assert first[1] - first[0] == pytest.approx(2 * (second[1] - second[0]))


def test_an_axis_reaches_as_far_as_is_asked_or_as_its_numbers_go() -> None:
    layout = panels_figure(STEPS, [Panel("a", [track("a")], top=10), Panel("b", [track("b")], top=0.5)])["layout"]
    assert layout["yaxis"]["range"] == [0, 10.5]
    assert layout["yaxis2"]["range"] == [0, 2.1]


def test_bars_have_patterns_marks_have_shapes_and_lines_gaps() -> None:
    tracks = [track("bar", kind=BAR, pattern="/"), track("mark", kind=MARK), track("line", dash="dot", size=[0, 0, 7])]
    bar, mark, line = panels_figure(STEPS, [Panel("a", tracks)])["data"]
    assert (bar["type"], bar["marker"]["pattern"]["shape"]) == ("bar", "/")
    assert (mark["mode"], mark["marker"]["symbol"]) == ("markers", "x")
    assert (line["line"]["dash"], line["connectgaps"], line["marker"]["size"]) == ("dot", False, [0, 0, 7])


@pytest.mark.parametrize("name", ["node-1", "a/b", "..", ".", "~2F", "x y", "50%", "é", "\\", "a~", "<b>"])
def test_any_name_is_one_word_of_an_address(name: str) -> None:
    converter = NameConverter()
    word = converter.to_url(name)
    assert "/" not in word
    assert word not in {".", ".."}
    assert converter.to_python(word) == name
