"""All of it for one moment, read once."""

from dataclasses import dataclass
from datetime import datetime

from metering.causes.caps import CapChange, cap_changes
from metering.causes.heard import heard
from metering.causes.latencies import LatencyShift, latency_shifts
from metering.causes.loads import LoadShift, load_shifts
from metering.causes.presence import Presence, lost
from metering.causes.traffic import ErrorShift, Silence, error_shifts, silence, traffic
from metering.live import LiveScope


@dataclass(frozen=True)
class ModelLoad:
    """Tokens (input and output) a second of a model: now (the last half minute to minute and a half), and the mean of the hour before."""

    model: str
    now_s: float
    before_s: float


@dataclass(frozen=True)
class Causes:
    """What has moved within the last two hours, each kind with what matters most first."""

    at: datetime
    presence: Presence
    caps: tuple[CapChange, ...]
    loads: tuple[LoadShift, ...]
    latencies: tuple[LatencyShift, ...]
    errors: tuple[ErrorShift, ...]
    silence: Silence | None
    models: tuple[ModelLoad, ...]


def causes(scope: LiveScope, now: datetime, newest: datetime | None = None) -> Causes:
    """Of nodes and engines what is in the scope's model, region and cluster. `newest`: when the latest event arrived, if that is known.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    found, requests = heard(now, scope), traffic(now, scope)
    return Causes(
        at=now,
        presence=lost(found),
        caps=tuple(cap_changes(found)),
        loads=tuple(load_shifts(scope, now, requests)),
        latencies=tuple(latency_shifts(scope, found, requests)),
        errors=tuple(error_shifts(requests)),
        silence=silence(requests, newest),
        models=tuple(_load(model, requests.tokens_s(model)) for model in sorted(requests.tokens)),
    )


def _load(model: str, tokens_s: list[float]) -> ModelLoad:
    hour = tokens_s[-61:-1]
    return ModelLoad(model, tokens_s[-1], sum(hour) / len(hour) if hour else 0.0)
