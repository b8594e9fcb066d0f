"""Where a meter finds its values: JSONPath of plain names (`$.gpu.hours`), the part of it that OpenMeter's meters use."""

import re
from collections.abc import Mapping
from typing import Any

LONGEST = 256
DEEPEST = 16
PATH = re.compile(r"\A\$(\.[A-Za-z_][A-Za-z0-9_]*)+\Z")


def names(path: str) -> tuple[str, ...]:
    """`$.gpu.hours` -> ("gpu", "hours"). Raises ValueError for anything but plain names."""
    parts = tuple(path.split(".")[1:])
    if len(path) > LONGEST or not PATH.match(path) or len(parts) > DEEPEST:
        raise ValueError(f"{path[:LONGEST]!r} is not a path of plain names such as $.gpu.hours (at most {DEEPEST})")
    return parts


def value_at(data: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """What lies there; None if nothing does."""
    found: Any = data
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found
