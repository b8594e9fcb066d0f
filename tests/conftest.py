"""Fixtures that all tests share. The servers behind them are started by the plugin tests/stack.py."""

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from pytest_django.fixtures import Settings

from dashboard.operator import together
from metering.clickhouse import client, migrate
from metering.ingest import tasks
from tests.metering.rows import empty_tables

collect_ignore = ["clients"]  # they need a venv of other people's packages: `make test-clients`


MIGRATED = pytest.StashKey[list[str]]()  # the databases' URLs
MANY_PARTS, MANY_ROWS = 50, 5_000
LEDGER_DATABASE = "test_tallywatt_ledger"
LIVE_VIEWS = """
    SELECT name FROM system.tables
    WHERE database = currentDatabase() AND engine = 'MaterializedView' AND name NOT IN ('gpu_recent_view', 'engine_recent_view')
"""
HEAVY = """
    SELECT table FROM system.parts WHERE active AND database = currentDatabase() AND table != 'clickhouse_migrations'
    GROUP BY table HAVING count() > %(parts)s OR sum(rows) > %(rows)s
"""


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C, and so would every program that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def clickhouse_schema(pytestconfig: pytest.Config) -> Iterator[None]:
    """The test database, migrated once per run."""
    migrate.migrate()
    pytestconfig.stash.setdefault(MIGRATED, []).append(str(django_settings.CLICKHOUSE_URL))
    yield
    client.disconnect_idle()


@pytest.fixture(scope="session")
def ledger_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """A database without the views that fill the live roll-ups: they are seventeen, and nine tenths of what a small insert costs."""
    url = urlunsplit(urlsplit(str(django_settings.CLICKHOUSE_URL))._replace(path=f"/{LEDGER_DATABASE}"))
    with override_settings(CLICKHOUSE_URL=url):
        migrate.migrate()
        for (view,) in client.statement("test_views", LIVE_VIEWS):
            client.statement("test_drop", f"DROP TABLE {view}")
    pytestconfig.stash.setdefault(MIGRATED, []).append(url)
    yield url
    with override_settings(CLICKHOUSE_URL=url):
        client.disconnect_idle()


@pytest.fixture(autouse=True, scope="module")
def leave_little(pytestconfig: pytest.Config) -> Iterator[None]:
    """What a module leaves in ClickHouse, ten years of months or many rows, is in the way of all that come after it: PostgreSQL is empty
    again, so that their seals begin with the first event that there is."""
    yield
    for url in pytestconfig.stash.get(MIGRATED, []):
        with override_settings(CLICKHOUSE_URL=url):
            heavy = client.statement("test_heavy", HEAVY, {"parts": MANY_PARTS, "rows": MANY_ROWS})
            empty_tables(*(table for (table,) in heavy))


@pytest.fixture
def clickhouse(clickhouse_schema: None) -> None:
    """A migrated ClickHouse database. Tests keep apart by using tenants of their own; see `tenant_key`."""


@pytest.fixture
def ledger(ledger_url: str, settings: Settings) -> None:
    """In place of `clickhouse`, for tests of what is made of requests and of the ledger alone: the live roll-ups stay empty."""
    settings.CLICKHOUSE_URL = ledger_url


@pytest.fixture
def tenant_key() -> str:
    """A tenant key that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def own_spool(settings: Settings) -> Iterator[Path]:
    """No test shares a spool with another, even if it does not know that it uses one: what is left in it would hold every seal.

    The folder lies below the one that the embedded ClickHouse may read, and is not there until something is accepted.
    """
    root = Path(os.environ["TALLYWATT_DATA_DIR"]) / "spool" / uuid.uuid4().hex[:12]
    settings.SPOOL_DIR = root
    settings.CLICKHOUSE_SPOOL_DIR = str(root)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(autouse=True)
def patient_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """First HTML waits for all that it may show: how much of it would be there in time is this machine's affair."""
    monkeypatch.setattr(together, "GLANCE_S", 30.0)


@pytest.fixture
def spool(own_spool: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own spool; every sweep tidies it."""
    monkeypatch.setattr(tasks, "TIDY_S", -1e9)
    monkeypatch.setattr(tasks._Tidying, "due", 0.0)
    own_spool.mkdir(parents=True)
    return own_spool
