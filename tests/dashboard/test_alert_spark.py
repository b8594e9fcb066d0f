"""A rule's last hour as a line: gaps are gaps, and the threshold is drawn where it does not flatten the line."""

from datetime import UTC, datetime, timedelta

from dashboard.operator.alert_spark import HEIGHT, WIDTH, spark

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def points(*values: float | None) -> list[tuple[datetime, float | None]]:
    return [(NOW - timedelta(minutes=len(values) - 1 - n), value) for n, value in enumerate(values)]


def test_it_ends_at_the_right_and_reaches_from_the_lowest_to_the_highest() -> None:
    found = spark(points(1.0, 3.0), None)
    assert found
    assert found.lines == (f"{WIDTH * 59 / 60:.1f},{HEIGHT - 2:g} {WIDTH:g},2",)
    assert found.threshold_y is None


def test_a_gap_is_no_line() -> None:
    found = spark(points(1.0, 2.0, None, 2.0, 1.0), None)
    assert found
    assert len(found.lines) == 2


def test_a_threshold_nearby_is_within_the_box_and_one_far_away_is_left_out() -> None:
    near, far = spark(points(10.0, 12.0), 15.0), spark(points(10.0, 12.0), 500.0)
    assert near
    assert far
    assert near.threshold_y == 2.0
    assert far.threshold_y is None


def test_a_line_of_one_value_lies_in_the_middle_and_a_single_point_is_none() -> None:
    found = spark(points(5.0, 5.0), None)
    assert found
    assert f",{HEIGHT / 2:g}" in found.lines[0]
    assert spark(points(5.0), None) is None
    assert spark(points(None, None), None) is None
