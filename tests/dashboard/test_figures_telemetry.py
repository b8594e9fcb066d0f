"""The figures of saturation, energy and leakage: units, gaps, and marks that need no colour."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.figures import Figure
from dashboard.figures_energy import (
    MOST_NAMED,
    energy_figure,
    joules_figure,
    joules_per_token_figure,
    power_figure,
    shares_figure,
)
from dashboard.figures_fleet import MOST_LINES, saturation_figure
from dashboard.figures_leakage import leakage_figure
from dashboard.nobodys import NAMES, SHORT_NAMES
from metering.public import (
    ENERGY_LABELS,
    ENERGY_OTHERS,
    BoundShare,
    Counted,
    EnergyPoint,
    GpuPoint,
    Leakage,
    LeakageRow,
    SaturationPoint,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = [START, START + HOUR, START + 2 * HOUR]


def point(at: datetime, model: str, score: float | None, *bound: BoundShare) -> SaturationPoint:
    return SaturationPoint(at, {"model": model}, 1, 1.0, score, score, "n", "e", bound, False)


def energy(
    at: datetime, kwh: float, name: str = "", label: str = "", tokens: tuple[float, float] = (0, 0)
) -> EnergyPoint:
    return EnergyPoint(at, name, label, 1, *tokens, kwh, 0.0, False)


def drawn(at: datetime, cluster: str, power_w: float | None, limit_w: float | None) -> GpuPoint:
    nothing: dict[str, Any] = dict.fromkeys(GpuPoint.__dataclass_fields__)
    known = {"start": at, "group": {"cluster": cluster}, "gpus": 8, "power_w": power_w, "power_limit_w": limit_w}
    return GpuPoint(**(nothing | known))


def leaked(at: datetime, made: float | None, missing: float = 0.0) -> LeakageRow:
    """An hour in which engines made so many tokens, of which some are in no event; None: it was not compared."""
    if made is None:
        return LeakageRow(at, Leakage(incomplete_hours=1))
    sides = {"engine_side": Counted(output=made), "event_side": Counted(output=made - missing)}
    return LeakageRow(at, Leakage(hours=1, unbilled=Counted(output=missing), **sides))


def traces(figure: Figure) -> dict[str, Any]:
    return {trace["name"]: trace for trace in figure["data"]}


def figures() -> list[Figure]:
    return [
        saturation_figure([point(START, f"m{n}", 0.5) for n in range(6)], STEPS, {}),
        energy_figure([energy(START, 1, "m"), energy(START, 1, label="idle")], STEPS, HOUR),
        power_figure([drawn(START, "c1", 2000, 3000)], STEPS),
        joules_figure([energy(START, 1, "m", tokens=(10, 10))], STEPS),
        joules_per_token_figure([energy(START, 1, "m", tokens=(10, 10))], STEPS),
        shares_figure([energy(START, 1, "m")], STEPS),
        leakage_figure([leaked(START, 100, 2)], 0.01),
    ]


@pytest.mark.parametrize("figure", figures())
def test_every_axis_names_its_unit(figure: Figure) -> None:
    assert figure["layout"]["yaxis"]["title"]["text"]
    assert "xaxis" in figure["layout"]


@pytest.mark.parametrize("figure", figures())
def test_traces_can_be_told_apart_without_colour_and_colours_are_tokens(figure: Figure) -> None:
    looks = [trace["line"]["dash"] if "line" in trace else _bar_look(trace) for trace in figure["data"]]
    assert len(set(looks)) == len(looks)
    for trace in figure["data"]:
        assert (trace.get("line") or trace["marker"])["color"].startswith("--")


def _bar_look(trace: Any) -> tuple[str, str]:
    return trace["marker"]["pattern"]["shape"], trace["marker"]["color"]


def test_a_step_without_minutes_is_a_gap_in_the_score() -> None:
    figure = saturation_figure([point(STEPS[0], "m", 0.5), point(STEPS[2], "m", 1.0)], STEPS, {})
    assert traces(figure)["m"]["y"] == [0.5, None, 1.0]
    assert traces(figure)["m"]["connectgaps"] is False


def test_a_step_in_which_something_bound_has_a_mark_and_says_by_what() -> None:
    bound = point(STEPS[1], "m", 1.0, BoundShare("kv_cache", 0.5), BoundShare("power", 0.25))
    line = traces(saturation_figure([point(STEPS[0], "m", 0.5), bound], STEPS, {"kv_cache": "KV cache"}))["m"]
    assert [size > 0 for size in line["marker"]["size"]] == [False, True, False]
    assert line["text"][1] == ", bound by KV cache 50 %, power 25 %"


def test_of_many_models_the_most_bound_and_highest_are_drawn() -> None:
    points = [point(START, f"m{n:02}", n / 100) for n in range(20)] + [
        point(START, "bound", 0.01, BoundShare("queue", 1))
    ]
    names = traces(saturation_figure(points, STEPS, {})).keys()
    assert len(names) == MOST_LINES
    assert {"bound", "m19"} <= names


def test_a_bar_of_energy_is_as_high_as_all_of_its_rows() -> None:
    rows = [energy(START, 1.5, f"m{n}") for n in range(MOST_NAMED + 3)]
    rows += [energy(START, 0.25, label=label) for label in ENERGY_LABELS]
    found = traces(energy_figure(rows, STEPS, HOUR))
    assert sum(trace["y"][0] for trace in found.values()) == pytest.approx(1.5 * (MOST_NAMED + 3) + 0.25 * 5)
    assert found["others"]["y"] == [4.5, 0, 0]
    assert [name for name in found if name in SHORT_NAMES.values()] == list(SHORT_NAMES.values())


def test_what_is_not_named_is_among_the_others() -> None:
    rows = [energy(START, 1, "m1"), energy(START, 2, ENERGY_OTHERS)]
    assert traces(energy_figure(rows, STEPS, HOUR))["others"]["y"] == [2.0, 0, 0]


def test_energy_of_a_label_that_models_have_apart_is_one_bar() -> None:
    rows = [energy(START, 1, "m1", "idle"), energy(START, 2, "m2", "idle")]
    assert traces(energy_figure(rows, STEPS, HOUR))["idle"]["y"] == [3.0, 0, 0]


def test_energy_by_the_day_says_so() -> None:
    figure = energy_figure([energy(START, 1, "m")], [START], timedelta(days=1))
    assert figure["layout"]["yaxis"]["title"]["text"] == "kWh a day"


def test_a_cluster_has_a_line_and_its_cap_in_kw_and_a_step_without_gpus_is_a_gap() -> None:
    points = [drawn(STEPS[0], "c1", 2000, 3000), drawn(STEPS[2], "c1", 2500, None)]
    found = traces(power_figure(points, STEPS))
    assert found["c1"]["y"] == [2.0, None, 2.5]
    assert found["c1, cap"]["y"] == [3.0, None, None]
    assert found["c1, cap"]["line"]["dash"] != found["c1"]["line"]["dash"]


def test_power_shows_the_clusters_that_draw_most() -> None:
    found = traces(power_figure([drawn(START, f"c{n}", 1000 + n, 3000) for n in range(MOST_NAMED + 2)], STEPS))
    assert len(found) == 2 * MOST_NAMED
    assert "c0" not in found


def test_joules_are_per_output_token_or_per_token_and_only_of_what_was_attributed() -> None:
    points = [energy(START, 0.001, "m", tokens=(900, 100)), energy(START, 5, "m", "idle")]
    assert traces(joules_figure(points, STEPS))["m"]["y"] == [36.0, None, None]
    assert traces(joules_per_token_figure(points, STEPS))["m"]["y"] == [3.6, None, None]


def test_idle_and_unattributed_are_shares_of_all_energy() -> None:
    points = [energy(START, 6, "m"), energy(START, 3, "m", "idle"), energy(START, 1, "m", "gap")]
    found = traces(shares_figure(points, STEPS))
    assert (found["idle"]["y"], found["unattributed"]["y"]) == ([30.0, None, None], [10.0, None, None])


def test_every_label_of_energy_has_a_name() -> None:
    assert set(NAMES) == set(SHORT_NAMES) == set(ENERGY_LABELS)


def test_leakage_is_in_per_cent_and_hours_that_were_not_compared_are_gaps() -> None:
    figure = leakage_figure([leaked(STEPS[0], 100, 2), leaked(STEPS[1], None), leaked(STEPS[2], 100)], 0.015)
    assert traces(figure)["unbilled"]["y"] == [2.0, None, 0.0]
    assert traces(figure)["phantom"]["y"] == [0.0, None, 0.0]
    assert traces(figure)["alert above"]["y"] == [1.5, 1.5]


def test_without_any_compared_hour_there_is_no_threshold_to_draw() -> None:
    assert set(traces(leakage_figure([leaked(START, None)], 0.01))) == {"unbilled", "phantom"}
