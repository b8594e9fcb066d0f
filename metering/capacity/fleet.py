"""What the fleet is for capacity: pools of engines that serve one model in one place, with what they can take. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from metering.capacity.limits import Limit, Line

Place = tuple[str, str]  # region, cluster


@dataclass(frozen=True)
class Pool:
    """Engines that serve `model` in a cluster. `gpus`, `nodes`, `engines`: how many there were lately, on average over the minutes.

    `input_ratio` and `output_ratio`: tokens that its engines counted for each token of the requests of `demand` (a model and a region, '':
    any). `cached`: share of the prompt tokens that the prefix cache had. `watts`: power of one GPU against load, None: not known.
    `blocks_from` and `blocks_until` (epoch s): what it was measured on.
    """

    model: str
    region: str
    cluster: str
    gpus: float
    nodes: float
    engines: float
    products: tuple[str, ...]
    limit_w: float | None
    cached: float
    input_ratio: float | None
    output_ratio: float | None
    demand: tuple[str, str]
    prefill_share: float
    highest: float
    limits: Mapping[str, Limit]
    watts: Line | None
    blocks_from: int
    blocks_until: int
    block_s: int
    simulated: bool

    @property
    def key(self) -> str:
        return "|".join((self.model, self.region, self.cluster))

    @property
    def place(self) -> Place:
        return self.region, self.cluster

    @property
    def gpus_per_node(self) -> float:
        return self.gpus / self.nodes if self.nodes > 0 else 1.0


@dataclass(frozen=True)
class Site:
    """A cluster's power: the limits of its GPUs together, what GPUs draw that no engine claims, and the operator's cap, if any."""

    region: str
    cluster: str
    gpus: int
    limits_w: float | None
    unclaimed_w: float
    now_w: float | None
    cap_w: float | None = None

    @property
    def place(self) -> Place:
        return self.region, self.cluster

    @property
    def allowed_w(self) -> float | None:
        """The lower of the two: what may be drawn."""
        known = [value for value in (self.limits_w, self.cap_w) if value]
        return min(known) if known else None


@dataclass(frozen=True)
class Fleet:
    pools: tuple[Pool, ...] = ()
    sites: tuple[Site, ...] = ()
    measured_from: int = 0  # epoch s; 0: there is no telemetry
    measured_until: int = 0
    block_s: int = 0
    missing: tuple[str, ...] = field(default=())
