from datetime import UTC, date, datetime, timedelta
from itertools import count

from dashboard import figures
from metering.public import LiveCounts, LivePoint, Quantiles

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def point(n: int, counts: LiveCounts, ttft_ms: Quantiles | None = None) -> LivePoint:
    return LivePoint(START + timedelta(minutes=n), START + timedelta(minutes=n + 1), counts, ttft_ms)


def drawn() -> list[figures.Figure]:
    return list(figures.overview_figures([point(0, LiveCounts(60, ok=6))]).values())


def test_every_trace_of_the_overview_has_numbers_under_its_uid() -> None:
    series = figures.overview_series([point(0, LiveCounts(60, ok=6))])
    traces = [trace for figure in drawn() for trace in figure["data"]]
    assert sorted(trace["uid"] for trace in traces) == sorted(series)
    assert all(trace["y"] == series[trace["uid"]] and len(trace["x"]) == 1 for trace in traces)


def test_a_history_that_is_still_being_read_is_not_called_empty() -> None:
    assert all(one["reading"] for one in figures.overview_figures(None).values())
    assert not any("reading" in one for one in drawn())


def test_counts_become_rates_per_second_at_the_end_of_their_step() -> None:
    points = [point(0, LiveCounts(60, ok=6, error=3, input_tokens=1200))]
    series = figures.overview_series(points)
    assert series["requests.ok"] == [0.1]
    assert series["requests.error"] == [0.05]
    assert series["tokens.input"] == [20]
    chart = figures.overview_figures(points)["chart-requests"]
    assert chart["data"][0]["x"] == [int((START + timedelta(minutes=1)).timestamp() * 1000)]


def test_latencies_are_in_the_unit_of_their_axis_and_gaps_stay_gaps() -> None:
    measured = LivePoint(START, START, LiveCounts(60), e2e_ms=Quantiles(1000, 2000, 2500, 3333.333))
    series = figures.overview_series([measured, point(1, LiveCounts(60))])
    assert series["e2e.p50"] == [1.0, None]
    assert series["e2e.p99"] == [3.333, None]
    assert series["ttft.p95"] == [None, None]


def test_every_axis_names_its_unit() -> None:
    for figure in drawn():
        assert figure["layout"]["yaxis"]["title"]["text"]
        assert "UTC" in figure["layout"]["xaxis"]["hoverformat"]


def test_lines_and_bars_can_be_told_apart_without_colour() -> None:
    for figure in drawn():
        dashes = [trace["line"]["dash"] for trace in figure["data"]]
        assert len(set(dashes)) == len(dashes)
    bars = figures.daily_figure([date(2026, 3, 1)], {f"m{n}": [n] for n in range(8)})["data"]
    assert len({bar["marker"]["pattern"]["shape"] for bar in bars}) == 8


def test_a_ninth_model_begins_the_colours_again_instead_of_failing() -> None:
    bars = figures.daily_figure([date(2026, 3, 1)], {f"m{n}": [n] for n in range(9)})["data"]
    assert bars[8]["marker"]["color"] == bars[0]["marker"]["color"]


def test_colours_are_tokens_so_that_one_figure_serves_both_themes() -> None:
    def colours(value: object) -> list[str]:
        if isinstance(value, dict):
            here = [v for k, v in value.items() if k.endswith("color") and isinstance(v, str)]
            return here + [c for v in value.values() for c in colours(v)]
        return [c for v in value for c in colours(v)] if isinstance(value, list) else []

    found = [c for figure in drawn() for c in colours(figure)]
    assert found
    assert {c for c in found if not c.startswith("--")} == {"rgba(0,0,0,0)"}


def test_axes_of_two_figures_are_not_the_same_object() -> None:
    names = count()
    first, second = (figures.daily_figure([date(2026, 3, 1)], {str(next(names)): [1]}) for _ in range(2))
    first["layout"]["xaxis"]["tickformat"] = "changed"
    assert second["layout"]["xaxis"]["tickformat"] == "%-d %b"
