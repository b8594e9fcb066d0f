"""Whatever is reported, every window is conserved, nothing is negative, and the order of things does not matter."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.metering.telemetry.energy.hand import Reading, Request, Rows, assert_conserved, block, computed, engine, gpu

WINDOWS = 4
SECONDS = st.integers(-600, 900).map(float) | st.integers(-600_000, 900_000).map(lambda ms: ms / 1000)
AMOUNTS = st.sampled_from([0.0, 1.0, 10.0, 1e4, 2.0**40]) | st.floats(0, 1e5)
OR_NAN = st.just(math.nan)


@st.composite
def samples(draw: st.DrawFn) -> list[Reading]:
    """Of a GPU whose counter may stand still, leap, be absent or begin anew."""
    at = sorted(draw(st.lists(SECONDS, min_size=0, max_size=25, unique=True)))
    energy = draw(st.lists(st.floats(0, 1e7) | OR_NAN, min_size=len(at), max_size=len(at)))
    if draw(st.booleans()):
        energy = sorted(energy, key=lambda value: (math.isnan(value), value))
    power = draw(st.lists(st.floats(0, 1000) | OR_NAN, min_size=len(at), max_size=len(at)))
    return list(zip(at, energy, power, strict=True))


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    found = []
    for _ in range(draw(st.integers(0, 12))):
        begin, first, end = sorted(draw(st.tuples(SECONDS, SECONDS, SECONDS)))
        found.append(
            Request(
                end,
                begin,
                first,
                prefill=draw(AMOUNTS),
                output=draw(AMOUNTS),
                cached=draw(AMOUNTS),
                tenant=draw(st.sampled_from("abc")),
                engine=draw(st.sampled_from(["e0", "e1"])),
            )
        )
    return found


@st.composite
def counters(draw: st.DrawFn) -> list[dict[str, float]]:
    """Of an engine that may restart, stop counting, and count what no event tells."""
    at = sorted(draw(st.lists(SECONDS, min_size=0, max_size=20, unique=True)))
    names = ("running", "prompt", "cached", "generated", "finished", "aborted")
    return [{"at": moment} | {name: draw(AMOUNTS | OR_NAN) for name in names} for moment in at]


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, object]:
    gpus = st.lists(st.sampled_from(["g0", "g1", "g2"]), unique=True)
    return {
        "gpus": [draw(samples()) for _ in range(3)],
        "claims": [draw(gpus), draw(gpus)],
        "counters": [draw(counters()), draw(counters())],
        "requests": draw(requests()),
    }


def rows_of(scene: dict[str, object], order: slice = slice(None)) -> Rows:
    told = scene["requests"][order]
    engines = [engine(f"e{n}", scene["claims"][n], scene["counters"][n], told, windows=WINDOWS) for n in (0, 1)]
    found = [gpu(f"g{n}", one[order] or [(0.0, math.nan, math.nan)]) for n, one in enumerate(scene["gpus"])]
    return computed(block(found, engines, windows=WINDOWS, look=2))


@settings(max_examples=80, deadline=None)
@given(scenes())
def test_every_window_is_conserved_and_no_term_is_negative(scene: dict[str, object]) -> None:
    assert_conserved(rows_of(scene))


@settings(max_examples=25, deadline=None)
@given(scenes())
def test_the_order_of_samples_and_requests_does_not_matter(scene: dict[str, object]) -> None:
    forward, backward = rows_of(scene), rows_of(scene, slice(None, None, -1))
    for one, other in zip(_sorted(forward.windows), _sorted(backward.windows), strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
            else:
                assert other[name] == value, name
    for tenant in "abc":
        assert np.allclose(forward.tenant_j(tenant, WINDOWS), backward.tenant_j(tenant, WINDOWS), rtol=1e-6, atol=1e-6)


def _sorted(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: (row["window_start"], row["engine"]))
