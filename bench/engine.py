"""The bare engine: the same rows, from Arrow files in the spool, into the same tables and rollup views, with nothing else running."""

import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
from clickhouse_driver import Client

from bench.bodies import template

ROWS_PER_FILE = 5_000
FILES = 100
GROUPS = 4
DATABASE = "bench_engine"
OF_REQUESTS = {1, 2, 11, 13}  # the migrations of the table of requests and of its rollups


def rate() -> float:
    """Rows per second over GROUPS inserts of FILES * ROWS_PER_FILE rows each, by the statement that the drain uses."""
    from django.conf import settings

    from metering.clickhouse.migrate import available, create_database
    from metering.ingest.sink import ONE_BLOCK

    url = urlunsplit(urlsplit(str(settings.CLICKHOUSE_URL))._replace(path=f"/{DATABASE}"))
    create_database(url)
    client = Client.from_url(url)
    for migration in available():
        if migration.version in OF_REQUESTS:
            for statement in filter(once, migration.statements()):
                client.execute(statement)
    folder = Path(settings.SPOOL_DIR) / "bench-engine"
    folder.mkdir()
    columns = _write_files(folder)
    try:
        started = time.monotonic()
        for group in range(GROUPS):
            names = ",".join(f"{group}-{number}.arrow" for number in range(FILES))
            sql = f"INSERT INTO requests ({columns}) SELECT {columns} FROM file('{folder}/{{{names}}}', 'ArrowStream')"
            client.execute(sql, settings=ONE_BLOCK | {"insert_deduplicate": 0})
        seconds = time.monotonic() - started
        (stored,) = client.execute("SELECT count() FROM requests")[0]
        if stored != GROUPS * FILES * ROWS_PER_FILE:
            raise RuntimeError(f"the engine holds {stored} rows")
        return float(stored / seconds)
    finally:
        client.execute(f"DROP DATABASE {DATABASE}")
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def once(statement: str) -> bool:
    """Not one that copies, day by day, what was there before: there is nothing."""
    from metering.clickhouse.migrate import EACH_DAY

    return EACH_DAY.search(statement) is None


def _write_files(folder: Path) -> str:
    """As the edge would write them. Returns their columns."""
    from metering.ingest.schema import CANONICAL

    for group in range(GROUPS):
        for number in range(FILES):
            path = str(folder / f"{group}-{number}.arrow")
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, CANONICAL) as stream:
                stream.write_table(_batch(group, number).combine_chunks())
    return ", ".join(CANONICAL.names)


def _batch(group: int, number: int) -> pa.Table:
    from django.utils import timezone

    from metering.contracts import Credential
    from metering.ingest.checking import Context, check_columns
    from metering.ingest.decoders.arrow import columns
    from metering.ingest.schema import CANONICAL
    from metering.ingest.spool import stamped
    from metering.moments import microseconds

    now, day = timezone.now(), timedelta(days=1)
    found = columns(template("arrow", f"engine-{group}-{number}", ROWS_PER_FILE), ROWS_PER_FILE)
    if found is None:
        raise RuntimeError("the load generator's own body has no rows")
    batch = check_columns(found, Context(Credential("0" * 12, None, frozenset(), False), now, day, day))
    identity = f"{group:08x}-0000-0000-0000-{number:012x}"
    return stamped(batch.events_table(), CANONICAL, microseconds(now), identity)
