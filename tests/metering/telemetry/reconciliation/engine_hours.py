"""Short ways to write engine hours."""

from datetime import UTC, datetime, timedelta
from typing import Any

from metering.telemetry.reconciliation.hours import Counted, EngineHour

START = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hour(at: int, made: float, reported: float | None = None, **other: Any) -> EngineHour:
    """The `at`-th hour since START: output tokens that the engine made, and that events report (default: the same)."""
    fields: dict[str, Any] = {"node": "n1", "engine": "e1", "model": "m", "region": "eu"} | other
    sides = {
        "engine_side": Counted(output=made),
        "event_side": Counted(output=made if reported is None else reported),
    }
    return EngineHour(start=START + at * HOUR, **(sides | fields))
