"""Bodies in zstd: inflated under a limit, and refused if they are not what they claim to be."""

import pyarrow as pa
import pytest

from metering.ingest import bodies


def packed(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def test_a_body_of_several_frames_is_read_whole() -> None:
    assert bodies.unzstd(packed(b"one ") + packed(b"two"), 100) == b"one two"


@pytest.mark.parametrize("body", [packed(b"x" * 1000)[:-3], b"no zstd at all", packed(b"x") + b"trailing"])
def test_what_is_broken_or_truncated_is_refused(body: bytes) -> None:
    with pytest.raises(bodies.BrokenEncoding):
        bodies.unzstd(body, 10_000)


def test_a_bomb_ends_at_the_limit() -> None:
    bomb = packed(b"0" * 50_000_000)
    assert len(bomb) < 10_000
    before = pa.total_allocated_bytes()
    with pytest.raises(bodies.BodyTooLarge):
        bodies.unzstd(bomb, 1_000_000)
    assert pa.total_allocated_bytes() - before < 2_000_000
