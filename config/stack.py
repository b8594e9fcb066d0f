"""Where the three databases are: from `DATABASE_URL`, `REDIS_URL`, `CLICKHOUSE_URL`, else from the running embedded stack.

`manage.py up` writes `<data-dir>/stack.json` (mode 0600, it holds passwords) once its servers answer, so that a command in a
second terminal finds them. No Django here: the supervisor and the embedded servers import this too.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from config import environment

STACK_FILE = "stack.json"


@dataclass(frozen=True)
class StackUrls:
    """Empty strings where nothing is known (no server named, no stack running)."""

    database_url: str = ""  # postgresql://user:password@host:port/name
    redis_url: str = ""  # redis://... or unix:///path?password=...&db=0
    clickhouse_url: str = ""  # clickhouse://user:password@host:port/database
    web_url: str = ""  # http://127.0.0.1:8000
    secret_key: str = ""  # Django's, made once per data directory


def read(data_dir: Path) -> StackUrls:
    """The URLs in force. The environment wins over the file, field by field."""
    recorded = _recorded(data_dir)
    return StackUrls(
        database_url=environment.text("DATABASE_URL") or recorded.database_url,
        redis_url=environment.text("REDIS_URL") or recorded.redis_url,
        clickhouse_url=environment.text("CLICKHOUSE_URL") or recorded.clickhouse_url,
        web_url=environment.text("TALLYWATT_URL") or recorded.web_url,
        secret_key=environment.text("TALLYWATT_SECRET_KEY") or recorded.secret_key,
    )


def _recorded(data_dir: Path) -> StackUrls:
    try:
        found = json.loads((data_dir / STACK_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return StackUrls()
    return StackUrls(**{name: found.get(name, "") for name in asdict(StackUrls())})
