"""The overview's charts of the fleet, and what of the range before is drawn beside this one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.figures import overview_figures
from dashboard.figures_overview import bound_figure, power_figure
from metering.public import BoundShare, GpuPoint, LiveCounts, LivePoint, Quantiles, SaturationPoint

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MS = int(AT.timestamp() * 1000)


def saturation(minute: int, **shares: float) -> SaturationPoint:
    bound = tuple(BoundShare(name, share) for name, share in shares.items())
    return SaturationPoint(AT + minute * MINUTE, {}, 1, 8.0, 0.5, 0.5, "n", "e", bound, False)


def gpus(minute: int, power_w: float | None, limit_w: float | None = 5600.0) -> GpuPoint:
    nothing: dict[str, Any] = dict.fromkeys(GpuPoint.__dataclass_fields__)
    told = {"start": AT + minute * MINUTE, "group": {}, "gpus": 8, "simulated": False}
    return GpuPoint(**nothing | told | {"power_w": power_w, "power_limit_w": limit_w})


def test_bound_shares_are_stacked_bars_in_per_cent_with_a_pattern_each() -> None:
    figure = bound_figure([saturation(0), saturation(1, kv_cache=0.25, power=0.5)], MINUTE, {"kv_cache": "KV cache"})
    assert [trace["name"] for trace in figure["data"]] == ["KV cache", "power"]
    assert [trace["y"] for trace in figure["data"]] == [[0.0, 25.0], [0.0, 50.0]]
    assert figure["data"][0]["x"] == [MS + 30_000, MS + 90_000]
    assert figure["layout"]["barmode"] == "stack"
    assert len({trace["marker"]["pattern"]["shape"] for trace in figure["data"]}) == 2


def test_where_nothing_bound_there_is_nothing_to_draw() -> None:
    assert bound_figure([saturation(0)], MINUTE, {})["data"] == []
    assert bound_figure([], MINUTE, {})["data"] == []


def test_power_is_drawn_against_the_cap_in_kw_with_gaps_where_nobody_tells() -> None:
    drawn, cap = power_figure([gpus(0, 4000.0), gpus(1, None, None)], MINUTE)["data"]
    assert (drawn["y"], cap["y"]) == ([4.0, None], [5.6, None])
    assert drawn["x"] == [MS + 60_000, MS + 120_000]
    assert drawn["line"]["dash"] != cap["line"]["dash"]


def test_the_range_before_is_a_faint_line_below_those_of_now() -> None:
    before = [(AT, gpus(-60, 3000.0))]
    figure = power_figure([gpus(0, 4000.0)], MINUTE, before)
    assert [trace["uid"] for trace in figure["data"]] == ["power.drawn.before", "power.drawn", "power.cap"]
    assert figure["data"][0]["opacity"] < 1
    assert (figure["data"][0]["x"], figure["data"][0]["y"]) == ([MS + 60_000], [3.0])


def test_of_what_is_served_the_range_before_is_beside_it() -> None:
    def point(ok: int) -> LivePoint:
        return LivePoint(AT, AT + MINUTE, LiveCounts(60, ok=ok), Quantiles(1, 2, 3, 4))

    figures = overview_figures([point(60)], [point(30)])
    requests = {trace["uid"]: trace["y"] for trace in figures["chart-requests"]["data"]}
    assert requests["requests.ok.before"] == [0.5]
    assert requests["requests.ok"] == [1.0]
    assert figures["chart-ttft"]["data"][0]["uid"] == "ttft.p95.before"
    assert len(overview_figures([point(60)])["chart-ttft"]["data"]) == 4
