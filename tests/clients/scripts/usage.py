"""What the scripts send: event n has 100 + n input tokens, n of them cached, and 10 + n output tokens."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

TOLD: dict[str, Any] = json.loads(sys.argv[1])
FIRST = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)


def numbers() -> range:
    start = TOLD.get("start", 0)
    return range(start, start + TOLD["count"])


def data(n: int) -> dict[str, Any]:
    return {"model": "m", "input_tokens": 100 + n, "cached_input_tokens": n, "output_tokens": 10 + n}


def moment(n: int) -> datetime:
    return FIRST + timedelta(seconds=n)


def report(**found: Any) -> None:
    sys.stdout.write(json.dumps(found))
