"""Which GPUs belong together: engines that share a GPU, and what they run on, form one group; its energy cannot be told apart by GPU."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Gpu = str
Engine = str


@dataclass(frozen=True, order=True)
class Group:
    """Of one node. `engines` empty: GPUs that no engine claims."""

    engines: tuple[Engine, ...]
    gpus: tuple[Gpu, ...]


def grouped(claims: Mapping[Engine, Iterable[Gpu]], present: Iterable[Gpu]) -> tuple[Group, ...]:
    """The groups of a node, from the GPUs that each engine says it runs on and the GPUs that have samples.

    Every engine is in one group, if of no GPU; what no engine claims is the group without engines, the last one.
    """
    left = set(present)
    parts: list[tuple[set[Engine], set[Gpu]]] = []
    for engine, gpus in sorted(claims.items()):
        engines, held = {engine}, set(gpus)
        apart = []
        for others, theirs in parts:
            if theirs & held:
                engines |= others
                held |= theirs
            else:
                apart.append((others, theirs))
        parts = [*apart, (engines, held)]
    groups = [Group(tuple(sorted(engines)), tuple(sorted(gpus & left))) for engines, gpus in parts]
    rest = left - {gpu for group in groups for gpu in group.gpus}
    return (*sorted(groups), *((Group((), tuple(sorted(rest))),) if rest else ()))
