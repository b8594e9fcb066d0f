"""Fixtures that all tests share. The servers behind them are started by the plugin tests/stack.py."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from metering.clickhouse import client, migrate
from metering.ingest import tasks

collect_ignore = ["clients"]  # they need a venv of other people's packages: `make test-clients`


@pytest.fixture(scope="session")
def clickhouse_schema() -> Iterator[None]:
    """The test database, migrated once per run."""
    migrate.migrate()
    yield
    client.disconnect_idle()


@pytest.fixture
def clickhouse(clickhouse_schema: None) -> None:
    """A migrated ClickHouse database. Tests keep apart by using tenants of their own; see `tenant_key`."""


@pytest.fixture
def tenant_key() -> str:
    """A tenant key that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def spool(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spool of the test's own, below the folder that the embedded ClickHouse may read; every sweep tidies it."""
    monkeypatch.setattr(tasks, "TIDY_S", -1e9)
    monkeypatch.setattr(tasks._Tidying, "due", 0.0)
    root = Path(os.environ["TALLYWATT_DATA_DIR"]) / "spool" / uuid.uuid4().hex[:12]
    root.mkdir(parents=True)
    settings.SPOOL_DIR = root
    settings.CLICKHOUSE_SPOOL_DIR = str(root)
    yield root
    shutil.rmtree(root, ignore_errors=True)
