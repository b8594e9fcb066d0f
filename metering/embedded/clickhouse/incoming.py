"""Rows that a client sends for an INSERT: kept in a nameless file until all are there, then inserted by one statement.

The binding has a streaming insert, and it must not be used: it reports success when the write fails (a constraint, too many
partitions, a failing materialised view, a full disk) and the rows are gone. A statement that reads a file reports its errors.
Nothing of an INSERT is stored unless the client sent all of it; the file vanishes with the process, however that ends.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from metering.embedded.clickhouse.blocks import Block
from metering.embedded.clickhouse.errors import Code, NodeError
from metering.embedded.clickhouse.sql_text import literal, name


class Incoming:
    """The blocks of one INSERT. `columns` are the names and types that the client was told to send."""

    def __init__(self, folder: Path, columns: Sequence[tuple[str, str]]) -> None:
        self._columns = tuple(columns)
        self._names = {column for column, _ in columns}
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close()
        self.rows = 0

    def add(self, block: Block) -> None:
        """Raises NodeError 10 for a block of other columns, 243 when the disk is full."""
        if {column for column, _ in block.columns} != self._names:
            raise NodeError(Code.NOT_FOUND_COLUMN, "a block holds other columns than the INSERT")
        try:
            _write(self._file.fileno(), block.body)
        except OSError as error:
            raise NodeError(Code.NOT_ENOUGH_SPACE, f"Cannot keep the rows of an INSERT: {error.strerror}") from error
        self.rows += block.rows

    def statement(self, head: str) -> str:
        """The INSERT whose first part is `head`, as one statement that reads what was kept."""
        names = ", ".join(name(column) for column, _ in self._columns)
        structure = ", ".join(f"{name(column)} {type_name}" for column, type_name in self._columns)
        path = f"/proc/self/fd/{self._file.fileno()}"
        # Names and types are the engine's own words about the table; the path is ours.
        return f"{head}\nSELECT {names} FROM file({literal(path)}, 'Native', {literal(structure)})"

    def close(self) -> None:
        self._file.close()


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
