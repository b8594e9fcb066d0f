"""Changes to bytes that know nothing of what the bytes mean, and bodies that are small and become huge."""

import gzip
import io
import struct
import zlib
from functools import cache
from random import Random

import pyarrow as pa

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)
WIDE = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
BOMB_BYTES = 128 * 2**20


def damaged(body: bytes, random: Random, *, first: int | None = None) -> bytes:
    """One to eight changes. `first`: most of them in so many bytes at the beginning."""
    found = bytearray(body)
    for _ in range(1 << random.randrange(4)):
        if not found:
            return bytes(found)
        end = min(len(found), first) if first and random.random() < 0.8 else len(found)
        _damage(found, random.randrange(end), random)
    return bytes(found)


def _damage(body: bytearray, place: int, random: Random) -> None:
    kind = random.randrange(8)
    length = random.randrange(1, 64)
    if kind == 0:
        body[place] ^= 1 << random.randrange(8)
    elif kind == 1:
        body[place] = random.choice(INTERESTING)
    elif kind == 2:
        del body[place:]
    elif kind == 3:
        del body[place : place + length]
    elif kind == 4:
        body[place:place] = body[place : place + length] * random.randrange(1, 20)
    elif kind == 5:
        body[place:place] = random.randbytes(length)
    elif kind == 6:
        wide = struct.pack(random.choice("<>") + "I", random.choice(WIDE))
        body[place : place + 4] = wide
    else:
        other = random.randrange(len(body))
        body[place : place + length] = body[other : other + length]


def spliced(one: bytes, two: bytes, random: Random) -> bytes:
    return one[: random.randrange(len(one) + 1)] + two[random.randrange(len(two) + 1) :]


def encoded(body: bytes, encoding: str, random: Random) -> bytes:
    """As `Content-Encoding` promises, or nearly."""
    if encoding == "gzip":
        packed = gzip.compress(body, 1)
        packed = packed + gzip.compress(b"\n", 1) if random.random() < 0.1 else packed
    else:
        packed = bytes(pa.Codec("zstd", 1).compress(body, asbytes=True))
    return damaged(packed, random) if random.random() < 0.3 else packed


@cache
def gzip_bomb(unit: bytes) -> bytes:
    """BOMB_BYTES of a repeated unit."""
    sink = io.BytesIO()
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = unit * (2**20 // len(unit))
    for _ in range(BOMB_BYTES // len(block)):
        sink.write(squeeze.compress(block))
    sink.write(squeeze.flush())
    return sink.getvalue()


@cache
def zstd_bomb(unit: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        block = unit * (2**20 // len(unit))
        for _ in range(BOMB_BYTES // len(block)):
            stream.write(block)
    return sink.getvalue().to_pybytes()


def bomb(encoding: str, random: Random) -> bytes:
    unit = random.choice((b"\0", b"[", b"\n", b'{"id":"a","model":"m","input_tokens":1,"output_tokens":1}\n'))
    once = gzip_bomb(unit) if encoding == "gzip" else zstd_bomb(unit)
    return once[: -random.randrange(1, 20)] if random.random() < 0.2 else once
