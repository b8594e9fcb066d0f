"""Clients that we did not write, unmodified, in a venv of their own (`make test-clients`), against a stack started by `manage.py up`."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.front import Front
from tests.journeys.stack import ROOT, RunningStack

VENV = ROOT / ".venv-clients"
SCRIPTS = Path(__file__).parent / "scripts"
NOWHERE = "http://127.0.0.1:9"  # the discard port: what a client wants from another machine fails at once

Totals = tuple[int, int, int, int]  # requests, input, output, cached


@dataclass
class Customer:
    """A tenant with a key of its own, and the clients that it runs."""

    stack: RunningStack
    tenant: str
    key: str
    home: Path

    def run(self, script: str, *, url: str | None = None, packages: str = "", **words: Any) -> dict[str, Any]:
        """What `scripts/<script>.py` printed as JSON. `packages`: a folder of the venv whose packages go before its own."""
        told = {"url": url or self.stack.url, "key": self.key, "tenant": self.tenant} | words
        done = subprocess.run(
            [str(VENV / "bin/python"), str(SCRIPTS / f"{script}.py"), json.dumps(told)],
            env=self._environment(packages),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{script} {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr[-6000:]}"
        return json.loads(done.stdout)

    def _environment(self, packages: str) -> dict[str, str]:
        return {
            "PATH": str(VENV / "bin"),
            "HOME": str(self.home),
            "PYTHONPATH": str(VENV / packages) if packages else "",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }

    def has(self, totals: Totals) -> None:
        """The usage comes to exactly these totals, and a seal of all that has arrived changes nothing about them."""
        self.stack.wait_for(
            lambda: self.stack.usage(self.tenant)[0] >= totals[0], 15, f"{totals} in the usage of {self.tenant}"
        )
        self.stack.seal()
        assert self.stack.usage(self.tenant) == totals

    def query(self, sql: str) -> list[str]:
        return self.stack.manage("clickhouse", "--query", sql).splitlines()

    def quarantined(self) -> list[str]:
        prefix = self.key.split("_")[1]
        return self.query(f"SELECT reason, field, message FROM quarantine WHERE api_key = '{prefix}'")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    if not (VENV / "bin/python").exists():
        pytest.fail(f"{VENV.name} is missing: `make test-clients` makes it", pytrace=False)
    running = RunningStack(tmp_path_factory.mktemp("clients") / "var")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def customer(stack: RunningStack, tmp_path: Path) -> Customer:
    tenant = f"c-{uuid.uuid4().hex[:10]}"
    stack.manage("create_tenant", tenant)
    return Customer(stack, tenant, stack.manage("create_api_key", "--tenant", tenant, "--scopes", "ingest"), tmp_path)


@pytest.fixture
def front(stack: RunningStack) -> Iterator[Front]:
    standing = Front(stack.url)
    try:
        yield standing
    finally:
        standing.stop()


def expected(count: int, start: int = 0) -> Totals:
    """Of the events `start` to `start + count` that the scripts send: see scripts/usage.py."""
    numbers = range(start, start + count)
    return count, sum(100 + n for n in numbers), sum(10 + n for n in numbers), sum(n for n in numbers)
