"""Numbered `.sql` migrations of ClickHouse: applied in order, once, recorded with a checksum, never edited after they ship.

ClickHouse has no transactional DDL. A file is recorded after its last statement, and every statement is repeatable
(`IF NOT EXISTS`), so a crash in the middle is healed by running again.

A statement that copies what tables hold already begins with the comment `-- Each day of TABLE.COLUMN`, and is run once for every day that
has rows there, with its bounds as `%(from_s)s` and `%(until_s)s` in epoch seconds: so its time and memory do not grow with the table's age.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from clickhouse_driver import Client
from django.conf import settings

from metering.clickhouse import client

TIMEOUT_S = 600.0
DAY_S = 86_400
EACH_DAY = re.compile(r"^-- Each day of (\w+)\.(\w+)\b", re.MULTILINE)
FOLDER = Path(__file__).parent / "migrations"
HISTORY = """
CREATE TABLE IF NOT EXISTS clickhouse_migrations
(
    version UInt32,
    name String,
    checksum FixedString(64),
    applied_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
ORDER BY version
"""


class MigrationError(RuntimeError):
    """The history does not fit the files: one was edited or removed after it had been applied."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        return [part.strip() for part in re.split(r";[ \t]*(?:\n|\Z)", self.text) if part.strip()]


def available() -> list[Migration]:
    """Every migration file, in order. Raises MigrationError for a gap or a double number."""
    found = [
        Migration(int(path.name.split("_", 1)[0]), path.stem, path.read_text())
        for path in sorted(FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations are not numbered 1..{len(found)} without gaps: {[m.name for m in found]}")
    return found


def pending() -> list[Migration]:
    """What is not applied yet. Raises MigrationError if an applied file has changed since."""
    applied = _applied()
    known = {migration.version: migration for migration in available()}
    for version, checksum in applied.items():
        if version not in known:
            raise MigrationError(
                f"migration {version:04d} is applied, and its file is gone: this code is older than the data"
            )
        if known[version].checksum != checksum:
            raise MigrationError(
                f"{known[version].name}.sql was edited after it had been applied: add a new file instead"
            )
    return [migration for migration in known.values() if migration.version not in applied]


def migrate() -> list[str]:
    """Create the database if needed and apply what is pending; returns the names applied. Safe to repeat."""
    create_database(str(settings.CLICKHOUSE_URL))
    client.statement("migration_history", HISTORY)
    done = []
    for migration in pending():
        for statement in migration.statements():
            for bounds in bounds_of(statement):
                client.statement(f"migration_{migration.version:04d}", statement, bounds, timeout_s=TIMEOUT_S)
        client.insert(
            "migration_record",
            "clickhouse_migrations",
            ("version", "name", "checksum"),
            ([migration.version], [migration.name], [migration.checksum]),
        )
        done.append(migration.name)
    return done


def bounds_of(statement: str) -> list[dict[str, int] | None]:
    """The parameters with which a statement is run, one after the other: None is once, without any."""
    found = EACH_DAY.search(statement)
    if found is None:
        return [None]
    table, column = map(client.identifier, found.groups())
    days = f"SELECT DISTINCT toUnixTimestamp(toStartOfDay({column}, 'UTC')) AS day FROM {table} ORDER BY day"
    rows = client.statement("migration_days", days, timeout_s=TIMEOUT_S)
    return [{"from_s": day, "until_s": day + DAY_S} for (day,) in rows]


def create_database(url: str) -> None:
    """Create the database that `url` names, connecting to `default`: the named one may not exist yet."""
    parts = urlsplit(url)
    database = parts.path.lstrip("/") or "default"
    connection = Client.from_url(urlunsplit(parts._replace(path="/default")))
    try:
        connection.execute(f"CREATE DATABASE IF NOT EXISTS {client.identifier(database)}")
    finally:
        connection.disconnect()


def _applied() -> dict[int, str]:
    try:
        rows = client.statement(
            "migration_read", "SELECT version, checksum FROM clickhouse_migrations ORDER BY version"
        )
    except client.ClickHouseRefused as error:
        if error.code in {client.UNKNOWN_TABLE, client.UNKNOWN_DATABASE}:
            return {}
        raise
    return dict(rows)
