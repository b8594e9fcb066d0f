"""Bodies in a file, whole or cut short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.agent import frames
from metering.agent.messages import Message

BODIES = [b"", b"a\nb", bytes(range(256)), b"\x00" * 1000]


def test_any_bytes_come_back_in_order() -> None:
    assert frames.parse(b"".join(map(frames.frame, BODIES))) == (BODIES, 0)
    assert frames.parse(b"") == ([], 0)


@given(st.integers(0, 400), st.integers(0, 255))
def test_what_a_crash_cut_short_is_left_out_and_counted(kept: int, garbage: int) -> None:
    whole = b"".join(map(frames.frame, (b"x" * 100, b"y" * 200)))
    found, torn = frames.parse(whole[:kept])
    ends = [0, 108, 316]
    assert found == [b"x" * 100, b"y" * 200][: sum(kept >= end for end in ends) - 1]
    assert torn == (kept not in ends and kept < 316)
    changed = bytearray(whole)
    changed[50] ^= garbage
    assert frames.parse(bytes(changed)) == (([], 1) if garbage else ([b"x" * 100, b"y" * 200], 0))


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "a/b", "ce-id": "ü"}])
def test_a_message_is_kept_with_its_headers(headers: dict[str, str]) -> None:
    message = Message(headers, b"\x00body")
    assert Message.unpacked(message.packed()) == message
