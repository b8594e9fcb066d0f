"""Every GPU as a cell of a heatmap: nodes in blocks, coloured by one measure. Pure."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import formats
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import Filters
from dashboard.operator.fleet_gpus import THROTTLES
from dashboard.operator.fleet_links import gpu_link, narrowed_link
from dashboard.operator.fleet_reading import Gpus
from dashboard.operator.fleet_shown import STALE
from metering.public import EngineState, GoneGpu, GpuState

LEVELS = 10
ROUNDING = 1e-6  # samples are 32 bit: what was sent as 0.9 comes as a little less
DENSE_FROM = 1025  # with more GPUs, cells have no room for their numbers
SHORT = {
    "sw_power_cap": "P",
    "power_brake": "P",
    "hw_slowdown": "S",
    "sw_thermal": "H",
    "hw_thermal": "H",
}


@dataclass(frozen=True)
class Busy:
    """What runs on a GPU: the engines, and the one among them that is saturated most."""

    engines: tuple[EngineState, ...]

    @property
    def worst(self) -> EngineState:
        return max(self.engines, key=lambda one: (one.saturation.bound, one.saturation.score or 0.0))


@dataclass(frozen=True)
class Measure:
    """`value`: from 0 (palest) to 1, None if it is not known; `text`: in a cell; `said`: with its unit. `low`, `high`: of its scale."""

    label: str
    low: str
    high: str
    value: Callable[[GpuState, Busy | None], float | None]
    text: Callable[[GpuState, Busy | None], str]
    said: Callable[[GpuState, Busy | None], str]


@dataclass(frozen=True)
class Cell:
    """`level`: 0 to 9, or '' for what is not known. `mark`: bound, throttled, stale or gone."""

    text: str
    level: str
    mark: str
    title: str
    link: str


@dataclass(frozen=True)
class Node:
    name: str
    link: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Block:
    """`count`: its GPUs and nodes in words."""

    title: str
    count: str
    nodes: tuple[Node, ...]


def busy(engines: Sequence[EngineState]) -> dict[tuple[str, str], Busy]:
    found: dict[tuple[str, str], list[EngineState]] = defaultdict(list)
    for one in engines:
        for gpu in one.gpus:
            found[one.node, gpu].append(one)
    return {key: Busy(tuple(held)) for key, held in found.items()}


def blocks(
    gpus: Gpus, runs: Mapping[tuple[str, str], Busy], measure: Measure, by: str, filters: Filters
) -> list[Block]:
    """`by`: cluster, region or name (the product). Within a block, nodes and GPUs by name and index."""
    placed: dict[str, dict[str, list[tuple[int, str, Cell]]]] = defaultdict(lambda: defaultdict(list))
    for one in gpus.found:
        if not one.mig:
            cell = _cell(one, runs.get((one.node, one.gpu)), measure, gpus.at, filters)
            placed[_title(one, by)][one.node].append((*_order(one), cell))
    for lost in gpus.gone:
        placed[_title(lost, by)][lost.node].append((*_order(lost), _gone(lost, gpus.at, filters)))
    return [_block(title, placed[title], filters) for title in sorted(placed)]


def _order(one: GpuState | GoneGpu) -> tuple[int, str]:
    return (65_535 if one.index is None else one.index, one.gpu)


def _title(one: GpuState | GoneGpu, by: str) -> str:
    if by == "name":
        return one.name or "no product name"
    place = [one.region] if by == "region" else [one.region, one.cluster]
    return ", ".join(filter(None, place)) or f"no {by}"


def _block(title: str, nodes: Mapping[str, list[tuple[int, str, Cell]]], filters: Filters) -> Block:
    found = [
        Node(name, narrowed_link(filters, "node", name), tuple(cell for *_, cell in sorted(nodes[name], key=_place)))
        for name in sorted(nodes)
    ]
    cells = sum(len(one.cells) for one in found)
    return Block(title, f"{formats.counted(cells, 'GPU')} on {formats.counted(len(found), 'node')}", tuple(found))


def _place(cell: tuple[int, str, Cell]) -> tuple[int, str]:
    return cell[:2]


def _cell(one: GpuState, runs: Busy | None, measure: Measure, now: datetime, filters: Filters) -> Cell:
    value = measure.value(one, runs)
    level = "" if value is None else str(min(LEVELS - 1, max(0, int(value * LEVELS + ROUNDING))))
    mark, state = "", ""
    if now - one.at > STALE:
        mark, state = "stale", f"; no sample for {formats.span(now - one.at)}"
    elif one.throttle:
        mark, state = "throttled", f"; throttled by {', '.join(map(_reason, one.throttle))}"
    elif runs and runs.worst.saturation.bound:
        mark, state = "bound", f"; {runs.worst.engine} is bound by {words.limit(runs.worst.saturation.constraint)}"
    title = f"{one.node} GPU {_index(one)}: {measure.label} {measure.said(one, runs)}{state}"
    return Cell(measure.text(one, runs), level, mark, title, gpu_link(one.node, one.gpu, filters))


def _gone(one: GoneGpu, now: datetime, filters: Filters) -> Cell:
    title = f"{one.node} GPU {_index(one)}: gone, seen last before {formats.clock(one.until, now)}"
    return Cell("gone", "", "gone", title, gpu_link(one.node, one.gpu, filters))


def _index(one: GpuState | GoneGpu) -> str:
    return one.gpu if one.index is None else str(one.index)


def _reason(name: str) -> str:
    return THROTTLES.get(name, formats.words(name))


def _percent(label: str, read: Callable[[GpuState], float | None], low: str = "0 %", high: str = "100 %") -> Measure:
    def text(one: GpuState, runs: Busy | None) -> str:
        found = read(one)
        return formats.NOTHING if found is None else f"{found * 100:.0f}"

    def said(one: GpuState, runs: Busy | None) -> str:
        found = read(one)
        return "not known" if found is None else f"{found * 100:.0f} %"

    return Measure(label, low, high, lambda one, runs: read(one), text, said)


def _number(label: str, read: Callable[[GpuState], float | None], low: float, high: float, unit: str) -> Measure:
    def value(one: GpuState, runs: Busy | None) -> float | None:
        found = read(one)
        return None if found is None else (found - low) / (high - low)

    def text(one: GpuState, runs: Busy | None) -> str:
        found = read(one)
        return formats.NOTHING if found is None else f"{found:.0f}"

    def said(one: GpuState, runs: Busy | None) -> str:
        found = read(one)
        return "not known" if found is None else f"{found:,.0f}{unit}"

    return Measure(label, f"{low:g}{unit}", f"{high:,g}{unit} and more", value, text, said)


def _score(one: GpuState, runs: Busy | None) -> float | None:
    return runs.worst.saturation.score if runs else None


def _score_said(one: GpuState, runs: Busy | None) -> str:
    if runs is None:
        return "none, no engine runs on it"
    state = runs.worst.saturation
    near = f", nearest {words.limit(state.constraint)}" if state.constraint else ""
    return f"{words.score(state.score)}{near} ({runs.worst.engine}, {runs.worst.model or 'no model'})"


def _throttled(one: GpuState, runs: Busy | None) -> float | None:
    return None if one.throttle is None else float(bool(one.throttle))


def _throttled_text(one: GpuState, runs: Busy | None) -> str:
    if one.throttle is None:
        return formats.NOTHING
    return "".join(dict.fromkeys(SHORT.get(name, "?") for name in one.throttle)) or "no"


def _throttled_said(one: GpuState, runs: Busy | None) -> str:
    if one.throttle is None:
        return "not known"
    return ", ".join(map(_reason, one.throttle)) or "no"


def _of(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


MEASURES: dict[str, Measure] = {
    "score": Measure(
        "Saturation score", "0", "1", _score, lambda one, runs: words.score(_score(one, runs)), _score_said
    ),
    "sm": _percent("SM active", lambda one: one.sm_active),
    "tensor": _percent("Tensor cores active", lambda one: one.tensor_active),
    "dram": _percent("DRAM active", lambda one: one.dram_active),
    "memory": _percent("Memory used", lambda one: _of(one.memory_used_bytes, one.memory_total_bytes)),
    "power": _percent("Power of limit", lambda one: _of(one.power_w, one.power_limit_w)),
    "temperature": _number("Temperature", lambda one: one.temperature_c, 30, 90, " °C"),
    "clock": _number("SM clock", lambda one: one.sm_clock_mhz, 0, 2000, " MHz"),
    "throttled": Measure(
        "Throttled", "no", "P power, H heat, S slowdown", _throttled, _throttled_text, _throttled_said
    ),
    "xid": _number("XID errors", lambda one: one.xid_errors, 0, 10, ""),
}
