"""A pytest plugin (`-p tests.stack`): one embedded stack for the whole run, in a temporary directory; with `-n` one for each worker.

`DATABASE_URL`, `REDIS_URL` and `CLICKHOUSE_URL` in the environment replace each server, as they do for the application. The
addresses must be in the environment before pytest-django reads the settings, which is before any conftest is loaded.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from metering.embedded.stack import EmbeddedStack

TEST_DATABASE = "test_tallywatt"
MEMORY, ROOMY_BYTES = Path("/dev/shm"), 8 << 30
_running: list[tuple[EmbeddedStack, Path]] = []


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    # Of pytest-xdist's processes the workers run tests, each on servers of its own; what hands them out needs none.
    hands_out = getattr(early_config.known_args_namespace, "numprocesses", None)
    if not hands_out or "PYTEST_XDIST_WORKER" in os.environ:
        _boot()
    return (yield)


def pytest_collection_finish() -> None:
    """All that was imported and collected lives to the end: the garbage collector need not walk through it, and may come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure() -> None:
    while _running:
        stack, folder = _running.pop()
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _boot() -> None:
    """Start what no URL replaces, and put the addresses where the settings look for them."""
    folder = Path(tempfile.mkdtemp(prefix="tallywatt-tests-", dir=_in_memory()))
    stack = EmbeddedStack(folder)
    _running.append((stack, folder))
    urls = stack.build()
    for _ in stack.start():
        pass
    os.environ.setdefault("TALLYWATT_CLICKHOUSE_READS_SPOOL", "0" if os.environ.get("CLICKHOUSE_URL") else "1")
    os.environ["TALLYWATT_DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = urls.database_url
    os.environ["REDIS_URL"] = urls.redis_url
    os.environ["CLICKHOUSE_URL"] = urlunsplit(urlsplit(urls.clickhouse_url)._replace(path=f"/{TEST_DATABASE}"))


def _in_memory() -> Path | None:
    """In CI the servers' many small files are made and removed in memory, if there is plenty. Elsewhere a run that was killed would
    leave its folder there until the machine starts again."""
    if os.environ.get("CI") and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOMY_BYTES:
        return MEMORY
    return None
