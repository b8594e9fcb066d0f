"""A batch on disk, cut short or damaged anywhere, yields whole events and no invented one."""

from hypothesis import given
from hypothesis import strategies as st

from tallywatt.segments import frame, parse

LINES = st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"") + b"."), max_size=8)


@given(LINES)
def test_what_was_written_is_read(lines: list[bytes]) -> None:
    assert parse(b"".join(map(frame, lines))) == (lines, 0)


@given(LINES, st.data())
def test_a_torn_tail_costs_the_torn_line_only(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(frame, lines))
    cut = data.draw(st.integers(0, len(whole)))
    found, torn = parse(whole[:cut])
    complete = whole[:cut].count(b"\n")
    assert found == lines[:complete]
    assert torn == int(whole[:cut] != b"".join(map(frame, lines[:complete])))


@given(LINES, st.integers(1, 4096))
def test_zeros_that_a_disk_left_after_a_power_cut_are_no_event(lines: list[bytes], zeros: int) -> None:
    assert parse(b"".join(map(frame, lines)) + b"\0" * zeros) == (lines, 1)


@given(LINES.filter(bool), st.data())
def test_a_flipped_bit_costs_events_and_never_changes_one(lines: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(frame, lines)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found, torn = parse(bytes(whole))
    assert set(found) <= set(lines)
    assert torn >= 1


@given(st.binary(max_size=200))
def test_noise_is_no_event(noise: bytes) -> None:
    found, _ = parse(noise)
    assert all(frame(line) in noise for line in found)
