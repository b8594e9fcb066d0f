"""Migrations of ClickHouse: repeatable, recorded, never edited."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.clickhouse import client, migrate

pytestmark = pytest.mark.usefixtures("clickhouse")


def test_a_second_run_applies_nothing() -> None:
    assert migrate.migrate() == []
    assert migrate.pending() == []


def test_an_edited_migration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in migrate.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text() + "-- edited\n")
    monkeypatch.setattr(migrate, "FOLDER", tmp_path)
    with pytest.raises(migrate.MigrationError, match="edited"):
        migrate.pending()


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0002_x.sql").write_text("SELECT 1")
    monkeypatch.setattr(migrate, "FOLDER", tmp_path)
    with pytest.raises(migrate.MigrationError, match="without gaps"):
        migrate.available()


def test_check_says_what_is_pending_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in migrate.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    following = len(migrate.available()) + 1
    (tmp_path / f"{following:04d}_more.sql").write_text("SELECT 1")
    monkeypatch.setattr(migrate, "FOLDER", tmp_path)
    with pytest.raises(CommandError, match=f"pending: {following:04d}_more"):
        call_command("clickhouse_migrate", "--check")


def test_the_tables_are_those_that_the_migrations_declare() -> None:
    found = {
        name
        for (name,) in client.statement("test", "SELECT name FROM system.tables WHERE database = currentDatabase()")
    }
    assert found >= {
        "requests",
        "requests_minute",
        "requests_hour",
        "quarantine",
        "usage_ledger",
        "clickhouse_migrations",
    }
