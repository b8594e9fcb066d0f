"""What is gone: nodes, engines and GPUs that have stopped reporting, and engines that do not answer their agent. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.causes.heard import EngineBefore, EngineHeard, GpuBefore, GpuHeard, Heard, Key

NODE, ENGINE, GPU, DOWN = "node", "engine", "gpu", "down"
LEAST_SILENT = timedelta(seconds=40)  # an agent that sends every ten seconds has missed three
INTERVALS_MISSED = 3.5


@dataclass(frozen=True, slots=True)
class Lost:
    """`kind`: NODE reports nothing any more; ENGINE or GPU does not, though its node does; DOWN: an engine does not answer its agent.

    `since`: its last sign of life. `gpus`: how many are gone with it, of `gpus_of` in the fleet; of `models` these run on fewer engines.
    """

    kind: str
    node: str
    name: str  # of the engine or GPU, '' of a node
    since: datetime
    region: str
    cluster: str
    models: tuple[str, ...]
    engines: int
    gpus: int
    gpus_of: int


@dataclass(frozen=True)
class Presence:
    """`silent`: nobody has reported since then, so it is the samples that are missing, and not the nodes; `lost` is empty."""

    lost: tuple[Lost, ...]
    silent: datetime | None = None


def lost(found: Heard) -> Presence:
    """What is gone, nodes first, the latest first. What was last heard of two hours ago and more is not missed any longer."""
    gpus = _silent(found.now, found.gpus, found.gpus_before)
    engines = _silent(found.now, found.engines, found.engines_before)
    everything = {*found.gpus_before, *found.gpus}, {*found.engines_before, *found.engines}
    if (gpus or engines) and len(gpus) == len(everything[0]) and len(engines) == len(everything[1]):
        return Presence((), max((*gpus.values(), *engines.values())))
    nodes = _by_node(gpus), _by_node(engines)
    whole = {
        node
        for node in {*nodes[0], *nodes[1]}
        if _all_of(node, gpus, everything[0]) and _all_of(node, engines, everything[1])
    }
    gone = [
        _node(found, node, nodes[0].get(node, {}), nodes[1].get(node, {}), len(everything[0])) for node in sorted(whole)
    ]
    gone += [_engine(found, ENGINE, key, at) for key, at in engines.items() if key[0] not in whole]
    gone += [_gpu(found, key, at, len(everything[0])) for key, at in gpus.items() if key[0] not in whole]
    gone += [_engine(found, DOWN, key, at) for key, at in _down(found) if key not in engines]
    order = (NODE, DOWN, ENGINE, GPU)
    return Presence(
        tuple(sorted(gone, key=lambda each: (order.index(each.kind), -each.since.timestamp(), each.node, each.name)))
    )


def _silent(
    now: datetime, heard: Mapping[Key, GpuHeard | EngineHeard], before: Mapping[Key, GpuBefore | EngineBefore]
) -> dict[Key, datetime]:
    """Those that were there before and are not heard any longer, with their last sign of life."""
    last = {key: heard[key].at if key in heard else one.at for key, one in before.items()}
    return {key: at for key, at in last.items() if _is_silent(now, at, before[key].every)}


def _down(found: Heard) -> Iterator[tuple[Key, datetime]]:
    for key, raw in found.engines.items():
        if not raw.up:
            before = found.engines_before.get(key)
            yield key, raw.answered or (before.answered if before and before.answered else raw.at)


def _is_silent(now: datetime, at: datetime, every: timedelta) -> bool:
    return now - at > max(LEAST_SILENT, INTERVALS_MISSED * every)


def _by_node(found: dict[Key, datetime]) -> dict[str, dict[Key, datetime]]:
    nodes: dict[str, dict[Key, datetime]] = defaultdict(dict)
    for key, at in found.items():
        nodes[key[0]][key] = at
    return nodes


def _all_of(node: str, gone: dict[Key, datetime], everything: Iterable[Key]) -> bool:
    return all(key in gone for key in everything if key[0] == node)


def _node(found: Heard, node: str, gpus: dict[Key, datetime], engines: dict[Key, datetime], gpus_of: int) -> Lost:
    places = [found.engines_before[key].place for key in engines]
    gpu = next((found.gpus_before[key] for key in gpus), None)
    region, cluster = (gpu.region, gpu.cluster) if gpu else (places[0].region, places[0].cluster)
    models = tuple(sorted({place.model for place in places if place.model}))
    since = max((*gpus.values(), *engines.values()))
    return Lost(NODE, node, "", since, region, cluster, models, len(engines), len(gpus), gpus_of)


def _engine(found: Heard, kind: str, key: Key, since: datetime) -> Lost:
    known = found.engines_before.get(key) or found.engines[key]
    place = known.place
    models = (place.model,) if place.model else ()
    everywhere = {*found.gpus_before, *found.gpus}
    return Lost(kind, *key, since, place.region, place.cluster, models, 1, len(known.gpus), len(everywhere))


def _gpu(found: Heard, key: Key, since: datetime, gpus_of: int) -> Lost:
    before = found.gpus_before[key]
    uses = [
        each.place.model for (node, _), each in found.engines_before.items() if node == key[0] and key[1] in each.gpus
    ]
    return Lost(GPU, *key, since, before.region, before.cluster, tuple(sorted(set(filter(None, uses)))), 0, 1, gpus_of)
