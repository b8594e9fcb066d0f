"""Small traces in the formats of the public ones, with the totals that must come out of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

Totals = tuple[int, int, int, int]  # requests, input, output, cached


def azure(path: Path, rows: int, *, every_ms: int = 40) -> Totals:
    """`rows` requests of ever different sizes from 2023-11-16 18:15 on, across a quarter of an hour if they last that long."""
    start = datetime(2023, 11, 16, 18, 15, tzinfo=UTC)
    total_in = total_out = 0
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for number, (context, generated) in enumerate(_sizes(rows)):
            at = start + timedelta(milliseconds=number * every_ms)
            file.write(f"{at:%Y-%m-%d %H:%M:%S.%f}7,{context},{generated}\n")
            total_in, total_out = total_in + context, total_out + generated
    return rows, total_in, total_out, 0


def _sizes(rows: int) -> Iterator[tuple[int, int]]:
    for number in range(rows):
        yield 17 + number * 7919 % 6007, 3 + number * 104_729 % 311
