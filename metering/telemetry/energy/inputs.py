"""All that the energy of some nodes in a span is computed from, as it was read. Times are seconds from the span's start."""

from dataclasses import dataclass, field

from metering.telemetry.energy.coefficients import Book
from metering.telemetry.energy.counters import EngineReadings
from metering.telemetry.energy.requests import NONE, Requests
from metering.telemetry.energy.rest import RestingHour
from metering.telemetry.energy.segments import Segments


@dataclass(frozen=True)
class Gpu:
    node: str
    gpu: str
    product: str
    region: str
    cluster: str
    simulated: bool
    segments: Segments


@dataclass(frozen=True)
class Claim:
    """What an engine said of itself, as of a window."""

    gpus: tuple[str, ...]
    model: str
    region: str
    cluster: str
    simulated: bool


@dataclass(frozen=True)
class Engine:
    """`claims`: by window; None where nothing had been heard of it for a while. `rested`: by the hours before the span."""

    node: str
    engine: str
    claims: tuple[Claim | None, ...]
    readings: EngineReadings
    requests: Requests = NONE
    rested: tuple[RestingHour, ...] = ()


@dataclass(frozen=True)
class Label:
    """Whose a request is, and what of."""

    tenant: str
    model: str
    tier: str


@dataclass(frozen=True)
class Block:
    """`look`: within how many windows a surplus may be made good; engines are read for twice as many on either side of the span.

    `labels`: what the labels of requests number.
    """

    start_s: int  # epoch seconds
    windows: int
    look: int
    gpus: tuple[Gpu, ...]
    engines: tuple[Engine, ...]
    labels: tuple[Label, ...]
    book: Book = field(default_factory=Book)
