"""Limits of power that were lowered."""

from datetime import datetime

import pytest

from metering.causes.caps import CapChange, cap_changes
from metering.causes.heard import GpuBefore, GpuHeard, Heard
from tests.metering.causes.test_presence import EVERY, NOW, ago


def heard(
    now_w: float | None, before_w: float | None, *, lately_w: float | None = None, until: datetime | None = None
) -> Heard:
    raw = {("n1", gpu): GpuHeard(ago(3), now_w, lately_w or now_w, ago(40)) for gpu in ("G0", "G1")}
    before = {key: GpuBefore("eu", "c", ago(90), EVERY, before_w, until or ago(300)) for key in raw}
    return Heard(NOW, {}, {}, raw, before)


def test_the_gpus_of_a_node_are_one_change() -> None:
    assert cap_changes(heard(350.0, 700.0)) == [CapChange("n1", "eu", "c", 2, 700.0, 350.0, ago(300))]


def test_since_is_the_last_sample_that_had_the_higher_limit_if_it_is_among_the_newest() -> None:
    assert cap_changes(heard(350.0, 700.0, lately_w=700.0))[0].since == ago(40)


@pytest.mark.parametrize("now_w", [700.0, 690.0, 750.0, None])
def test_the_same_or_more_is_no_change_and_unknown_is_none(now_w: float | None) -> None:
    assert cap_changes(heard(now_w, 700.0)) == []


def test_a_limit_that_was_not_known_before_was_not_lowered() -> None:
    assert cap_changes(heard(350.0, None)) == []
