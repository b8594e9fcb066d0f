"""Inserting a group of spooled files into ClickHouse, exactly once, by reference or by value.

A token deduplicates per block, so a group must stay one block: no asynchronous insert, one insert thread, and block sizes above
the group's. Both roads give the same rows; by reference, no event passes through Python again.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from django.conf import settings

from metering.clickhouse import client
from metering.ingest.schema import KINDS, TABLES

TIMEOUT_S = 300
BLOCK_ROWS = 2_000_000
BLOCK_BYTES = 4 * 2**30
ONE_BLOCK = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_threads": 2,  # reading and parsing; what is inserted is still put together into one block
    "max_block_size": BLOCK_ROWS,
    "max_insert_block_size": BLOCK_ROWS,
    "min_insert_block_size_rows": BLOCK_ROWS,
    "min_insert_block_size_bytes": BLOCK_BYTES,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,  # what a view has grouped need not be merged once more before it is written
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


def insert_by_reference(kind: str, files: Sequence[Path], token: str) -> None:
    """ClickHouse reads the files itself, from the spool as it sees it."""
    table, schema = TABLES[kind], KINDS[kind]
    columns = ", ".join(client.identifier(name) for name in schema.names)
    pattern = _pattern(files)
    sql = f"INSERT INTO {client.identifier(table)} ({columns}) SELECT {columns} FROM file(%(files)s, 'ArrowStream')"
    client.statement(
        f"ingest_{kind}",
        sql,
        {"files": pattern},
        timeout_s=TIMEOUT_S,
        settings=ONE_BLOCK | {"insert_deduplication_token": token},
    )


def insert_by_value(kind: str, rows: pa.Table, token: str) -> None:
    """The rows travel as native column blocks."""
    client.insert_columns(
        f"ingest_{kind}",
        TABLES[kind],
        rows.select(KINDS[kind].names).unify_dictionaries(),
        timeout_s=TIMEOUT_S,
        settings=ONE_BLOCK | {"insert_deduplication_token": token},
    )


def read(files: Sequence[Path]) -> pa.Table:
    """All rows of the files, in their order."""
    tables = []
    for path in files:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


def _pattern(files: Sequence[Path]) -> str:
    """The files as one path for `file()`, as ClickHouse sees the spool: braces may list names, not whole paths.

    A pattern that matches nothing is no error to ClickHouse, hence `count_inserted`.
    """
    folder = Path(settings.CLICKHOUSE_SPOOL_DIR) / files[0].parent.relative_to(settings.SPOOL_DIR)
    names = [path.name for path in files]
    return str(folder / (names[0] if len(names) == 1 else f"{{{','.join(names)}}}"))


def count_inserted(kind: str, batches: Sequence[str], stamps_us: Sequence[int]) -> int:
    """How many rows of these batches the table holds, whoever put them there."""
    table = TABLES[kind]
    sql = f"""
        SELECT count() FROM {client.identifier(table)}
        WHERE ingested_at >= fromUnixTimestamp64Micro(%(first)s, 'UTC') AND ingested_at <= fromUnixTimestamp64Micro(%(last)s, 'UTC')
            AND batch IN %(batches)s
    """
    parameters = {"first": min(stamps_us), "last": max(stamps_us), "batches": list(batches)}
    return int(client.statement(f"verify_{kind}", sql, parameters, timeout_s=TIMEOUT_S)[0][0])
